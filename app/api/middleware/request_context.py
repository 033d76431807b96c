"""The middleware around every request: id, timing, metrics, one log line, and HEAD as GET.

It is pure ASGI, because Starlette's BaseHTTPMiddleware costs a task and a queue per request.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.auth import KEY_NAME
from app.api.key_limits import KEY_LIMITS, use_of
from app.api.metrics import Metrics
from app.api.security_headers import SECURITY_HEADERS, Headers
from app.api.tracing import RequestTrace, Tracing
from app.errors import out_of_memory
from app.runtime.classifier import Stages

log = logging.getLogger("hubel.request")

FIRST_BYTE_AT = "first_byte_at"
"""The key in a scope's state under which the server puts time.monotonic() at the first byte."""

_CLIENT_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

_PROBES = frozenset(
    {"/livez", "/readyz", "/metrics", "/ping", "/v2/health/live", "/v2/health/ready"}
)
"""Routes that machines request every few seconds; they are logged at `debug` unless they fail, and
never traced."""

_MAX_EXEMPLAR_ID = 64
"""OpenMetrics allows 128 characters for all labels of an exemplar, names included."""


@dataclass
class RequestRecord:
    """The data of one request for metrics and log; routes add to it."""

    request_id: str
    began: float = field(default_factory=time.monotonic)
    """time.monotonic() at the first byte of the request."""
    code: str | None = None
    """The error's code; None for a success."""
    model: str | None = None
    version: int | None = None
    images: int = 0
    predicted: list[tuple[str, float]] = field(default_factory=list)
    """The most probable label of each image and its probability, if they are logged."""
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage, summed over the request's images; empty without images."""
    body_bytes: int = 0
    body_read: bool = False
    status: int = 0
    is_stream: bool = False
    """Whether the response is a stream of events: its time isn't that of any work."""
    trace: RequestTrace | None = None
    """None if the request is not traced."""
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called once the response is sent, or the request has failed."""

    def add(self, stages: Stages) -> None:
        """Add the stage times of one image."""
        sums = self.stages_ms
        for name, seconds in (
            ("queue", stages.queue_s),
            ("decode", stages.decode_s),
            ("resize", stages.resize_s),
            ("run", stages.run_s),
        ):
            sums[name] = sums.get(name, 0.0) + seconds * 1e3

    def end(self) -> None:
        """Call what was registered for the end of the request; each, even if another fails."""
        for call in self.at_end:
            try:
                call()
            except Exception:
                log.exception("request %s: its end failed", self.request_id)

    def server_timing(self) -> str:
        """Return the value of the Server-Timing header."""
        parts = [f"{name};dur={ms:.2f}" for name, ms in self.stages_ms.items()]
        total_ms = (time.monotonic() - self.began) * 1e3
        return ", ".join([*parts, f"total;dur={total_ms:.2f}"])


def record_of(scope: Scope) -> RequestRecord:
    """Return the record of the request that `scope` belongs to."""
    return cast(RequestRecord, scope["state"]["request_record"])


class RequestContext:
    """The outermost middleware.

    Args:
        app: the application inside.
        metrics: the metrics that count requests.
        tracing: the traces of requests; None: no request is traced.
        is_draining: returns whether responses should close their connections.
        unexpected_response: returns the response for an unexpected error.
        security_headers: header fields of every response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        tracing: Tracing | None,
        is_draining: Callable[[], bool],
        unexpected_response: Callable[[Scope, Exception], Response],
        security_headers: Headers = SECURITY_HEADERS,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._is_draining = is_draining
        self._unexpected_response = unexpected_response
        self._security_headers = security_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then count and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(request_id(scope["headers"]))
        state = scope.setdefault("state", {})
        record.began = state.get(FIRST_BYTE_AT, record.began)
        state["request_record"] = record
        record.trace = self._begin_trace(scope, record)
        # Routes know GET; the server leaves out the body, since it sees the request's own method.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        has_body = _has_body(scope)
        record.body_read = not has_body

        async def receive_counted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                record.body_bytes += len(message.get("body", b""))
                record.body_read = not message.get("more_body", False)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], *self._headers(scope, record)]
            await send(message)

        try:
            await self._app(inner, receive_counted, send_with_headers)
        except asyncio.CancelledError:
            # The server stops and has aborted the connection: a traceback would tell nothing.
            log.warning("request %s is dropped: the server stops", record.request_id)
        except Exception as err:
            _log_failure(record, err)
            if record.status:  # the response has begun, so it can only be aborted
                raise
            response = self._unexpected_response(scope, err)
            await response(scope, receive, send_with_headers)
        finally:
            record.end()
            if limited := state.get(KEY_LIMITS):
                limited.end()
            self._count_and_log(scope, getattr(inner.get("route"), "path", "unmatched"), record)

    def _begin_trace(self, scope: Scope, record: RequestRecord) -> RequestTrace | None:
        """Begin the trace of a request, unless it is a probe or traces are off."""
        if self._tracing is None or scope["path"] in _PROBES:
            return None
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        return self._tracing.begin(scope["headers"], record.began, attributes)

    def _headers(self, scope: Scope, record: RequestRecord) -> Iterator[tuple[bytes, bytes]]:
        """Yield the headers that every response carries besides its own."""
        yield b"x-request-id", record.request_id.encode()
        yield from self._security_headers
        yield b"server-timing", record.server_timing().encode()
        if (use := use_of(scope)) is not None:
            yield from use.headers()
        if record.trace is not None:
            yield b"traceresponse", record.trace.header
        # While a body is still arriving, closing would reset the connection and lose the response.
        if self._is_draining() and record.body_read:
            yield b"connection", b"close"

    def _count_and_log(self, scope: Scope, route: str, record: RequestRecord) -> None:
        seconds = time.monotonic() - record.began
        if record.trace is not None:
            _end_trace(record.trace, scope, route, record)
        self._metrics.requests(
            scope["method"],
            route,
            record.status or 499,
            record.model or "",
            record.version or "",
        ).inc()
        if not record.is_stream:
            self._metrics.seconds(route).observe(seconds, self._exemplar(route, record))
        if key := scope["state"].get(KEY_NAME):
            self._metrics.key_requests(key, record.status or 499).inc()
            self._metrics.key_images(key).inc(record.images)
        if record.code:
            self._metrics.rejections(record.code).inc()
        level = logging.DEBUG if route in _PROBES and not record.code else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "request", extra={"fields": _fields(scope, record, route, seconds)})

    def _exemplar(self, route: str, record: RequestRecord) -> dict[str, str] | None:
        """Return the labels by which a request is found from the histogram of latency.

        Where requests are traced, only those are exemplars whose spans are sent.
        """
        labels = {}
        if self._tracing is not None:
            if record.trace is None or not record.trace.is_sampled:
                return None
            labels["trace_id"] = record.trace.trace_id
        elif route in _PROBES:
            return None
        if len(record.request_id) <= _MAX_EXEMPLAR_ID:
            labels["request_id"] = record.request_id
        return labels or None


def _end_trace(trace: RequestTrace, scope: Scope, route: str, record: RequestRecord) -> None:
    """End the request's span; its attributes are those of OpenTelemetry's conventions for HTTP."""
    status = record.status or 499
    attributes = {
        "http.route": route,
        "http.response.status_code": status,
        "client.address": (scope.get("client") or ("",))[0],
        "hubel.request_id": record.request_id,
        "hubel.model": record.model,
        "hubel.version": record.version,
        "hubel.images": record.images or None,
        "hubel.key": scope["state"].get(KEY_NAME),
    }
    known = {name: value for name, value in attributes.items() if value is not None}
    trace.end(f"{scope['method']} {route}", status, record.code, known)


def _log_failure(record: RequestRecord, err: Exception) -> None:
    """Log an unexpected error; without its traceback where memory is used up."""
    if out_of_memory(err):
        log.error("request %s failed: no memory is left", record.request_id)
    else:
        log.error("request %s failed", record.request_id, exc_info=err)


def _fields(scope: Scope, record: RequestRecord, route: str, seconds: float) -> dict[str, Any]:
    fields = {
        "request_id": record.request_id,
        "trace_id": record.trace and record.trace.trace_id,
        "method": scope["method"],
        "path": scope["path"],
        "route": route,
        "status": record.status or 499,
        "ms": round(seconds * 1e3, 2),
        "bytes": record.body_bytes,
        "client": (scope.get("client") or ("",))[0],
        "key": scope["state"].get(KEY_NAME),
        "code": record.code,
        "model": record.model,
        "version": record.version,
        "images": record.images or None,
        **{f"{name}_ms": round(ms, 2) for name, ms in record.stages_ms.items()},
        **_predictions(record.predicted),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _predictions(predicted: list[tuple[str, float]]) -> dict[str, Any]:
    """Return the fields for the predictions of a request: of one image values, of several lists."""
    if not predicted:
        return {}
    labels, probabilities = zip(*predicted, strict=True)
    if len(predicted) == 1:
        return {"label": labels[0], "probability": probabilities[0]}
    return {"label": list(labels), "probability": list(probabilities)}


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the client's request id if it is valid, else a new one; ids need not be secret."""
    client_id = _header(headers, b"x-request-id")
    return client_id if _CLIENT_ID.fullmatch(client_id) else f"{random.getrandbits(128):032x}"


def _has_body(scope: Scope) -> bool:
    headers = scope["headers"]
    return _header(headers, b"content-length") not in ("", "0") or bool(
        _header(headers, b"transfer-encoding")
    )


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return ""
