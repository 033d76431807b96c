"""What surrounds every request, whatever its route: id, timing, metrics, one line of log.

Pure ASGI, since Starlette's BaseHTTPMiddleware costs a task and a queue for each request.
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import Metrics
from app.runtime.classifier import Stages

log = logging.getLogger("hubel.request")

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass
class Facts:
    """What a request's log line will say; routes add to it."""

    request_id: str
    began: float = field(default_factory=time.perf_counter)
    code: str | None = None
    """The error's code, if it was one."""
    model: str | None = None
    version: int | None = None
    images: int = 0
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage, summed over the request's images; empty where it had none."""
    body_bytes: int = 0
    body_read: bool = False
    status: int = 0

    def add(self, stages: Stages) -> None:
        """Take in what the stages of one image took."""
        sums = self.stages_ms
        for name, seconds in (
            ("queue", stages.queue_s),
            ("decode", stages.decode_s),
            ("resize", stages.resize_s),
            ("run", stages.run_s),
        ):
            sums[name] = sums.get(name, 0.0) + seconds * 1e3

    def server_timing(self) -> str:
        """The header's value."""
        parts = [f"{name};dur={ms:.2f}" for name, ms in self.stages_ms.items()]
        total_ms = (time.perf_counter() - self.began) * 1e3
        return ", ".join([*parts, f"total;dur={total_ms:.2f}"])


def facts_of(scope: Scope) -> Facts:
    """The facts of the request that `scope` belongs to."""
    return cast(Facts, scope["state"]["facts"])


class RequestContext:
    """The outermost middleware.

    Args:
        app: the application inside.
        metrics: where requests are counted.
        is_draining: tells whether answers should end their connections.
        internal_problem: makes media type and body for an unexpected error.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        is_draining: Callable[[], bool],
        internal_problem: Callable[[Scope], tuple[str, bytes]],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._is_draining = is_draining
        self._internal_problem = internal_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = Facts(_request_id(scope))
        scope.setdefault("state", {})["facts"] = facts
        has_body = _has_body(scope)
        facts.body_read = not has_body

        async def receive_counted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                facts.body_bytes += len(message.get("body", b""))
                facts.body_read = not message.get("more_body", False)
            return message

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                facts.status = message["status"]
                message["headers"] = [*message["headers"], *self._headers(facts)]
            await send(message)

        try:
            await self._app(scope, receive_counted, send_dressed)
        except Exception:
            log.exception("request %s failed", facts.request_id)
            if facts.status:  # the answer has begun: all that is left is to break it off
                raise
            facts.code = "internal"
            await self._send_internal(scope, send_dressed)
        finally:
            self._tell(scope, facts)

    def _headers(self, facts: Facts) -> Iterator[tuple[bytes, bytes]]:
        """What every answer carries, beside its own."""
        yield b"x-request-id", facts.request_id.encode()
        yield b"x-content-type-options", b"nosniff"
        yield b"server-timing", facts.server_timing().encode()
        # With a body still on its way, closing would reset the connection under the answer.
        if self._is_draining() and facts.body_read:
            yield b"connection", b"close"

    async def _send_internal(self, scope: Scope, send: Send) -> None:
        media_type, body = self._internal_problem(scope)
        headers = [(b"content-type", media_type.encode())]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _tell(self, scope: Scope, facts: Facts) -> None:
        seconds = time.perf_counter() - facts.began
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.requests(
            scope["method"],
            route,
            facts.status or 499,
            facts.model or "",
            facts.version or "",
        ).inc()
        self._metrics.seconds(route).observe(seconds)
        if facts.code:
            self._metrics.rejections(facts.code).inc()
        if log.isEnabledFor(logging.INFO):
            log.info("request", extra={"fields": _fields(scope, facts, route, seconds)})


def _fields(scope: Scope, facts: Facts, route: str, seconds: float) -> dict[str, Any]:
    fields = {
        "request_id": facts.request_id,
        "method": scope["method"],
        "path": scope["path"],
        "route": route,
        "status": facts.status or 499,
        "ms": round(seconds * 1e3, 2),
        "bytes": facts.body_bytes,
        "client": (scope.get("client") or ("",))[0],
        "code": facts.code,
        "model": facts.model,
        "version": facts.version,
        "images": facts.images or None,
        **{f"{name}_ms": round(ms, 2) for name, ms in facts.stages_ms.items()},
    }
    return {name: value for name, value in fields.items() if value is not None}


def _request_id(scope: Scope) -> str:
    """The caller's id if it is a plain one, else a new one: unlike all others, but no secret."""
    given = _header(scope, b"x-request-id")
    return given if _GIVEN_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _has_body(scope: Scope) -> bool:
    return _header(scope, b"content-length") not in ("", "0") or bool(
        _header(scope, b"transfer-encoding")
    )


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return cast(bytes, value).decode("latin-1")
    return ""
