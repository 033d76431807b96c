"""Refusals of a full queue that cost next to nothing: before the application and before the body.

    head -> is the queue full? -> no, or another route: the application
                               -> yes: prepared bytes, in the error format of the route's protocol

Under ten times the load that the service can do, nine of ten requests are refused. If each took a
hundredth of the time of a photo, as in the application, a tenth of the capacity would be left for
refusals alone. They are counted in the metrics like all requests; the log has a line a second.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import compile_path

from app.api.middleware.cors import CorsLines
from app.api.middleware.request_context import request_id
from app.api.middleware.root_path import without_root
from app.api.problems import STATUS, problem_bytes
from app.api.security_headers import SECURITY_HEADERS, lines_of
from app.api.service import Service
from app.errors import QueueFull

log = logging.getLogger("hubel.request")

Headers = Iterable[tuple[bytes, bytes]]

_MAX_TARGETS = 1024
"""The table of targets is emptied when it holds this many."""
_LOG_INTERVAL_S = 1.0
_MARK = "@request-id@"
"""The place of the request id in a prepared body."""


@dataclass(frozen=True)
class _Route:
    """A route that queues images."""

    method: bytes
    pattern: re.Pattern[str]
    path: str


@dataclass(frozen=True)
class _Prepared:
    """The refusal for one target."""

    route: str
    media_type: bytes
    body: Sequence[bytes]
    """The parts of the body; the request id stands between them."""

    def response(self, id: bytes, headers: bytes) -> bytes:
        """Return the complete response; `headers` are further header lines."""
        body = id.join(self.body)
        return (
            b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: %b\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\n%b\r\n%b" % (self.media_type, len(body), id, headers, body)
        )


class EarlyRefusal:
    """The refusals of one application, for the server's protocol.

    Args:
        app: the application. Its routes that document `QueueFull` queue images.
        service: its objects.
        wait_s: the limit of the waiting time, for the message.
        security_headers: header fields of every response.
        cors: the fields for pages of other origins; None: there are none.
        root_path: the prefix of paths that a proxy may pass on.
    """

    def __init__(
        self,
        app: FastAPI,
        service: Service,
        wait_s: float,
        *,
        security_headers: Sequence[tuple[bytes, bytes]] = SECURITY_HEADERS,
        cors: CorsLines | None = None,
        root_path: str = "",
    ) -> None:
        self._app = app
        self._engine = service.classifier.engine
        self._metrics = service.metrics
        self._lifecycle = service.lifecycle
        self._security_lines = lines_of(security_headers)
        self._cors = cors
        self._root_path = root_path
        self._message = (
            f"Requests already wait for {wait_s:g} s, which is the limit of this service. "
            "Try again later."
        )
        self._routes: Sequence[_Route] | None = None
        self._targets: dict[tuple[bytes, bytes], _Prepared | None] = {}
        self._unlogged = 0

    def response(
        self, method: bytes, target: bytes, headers: Headers, began: float, default_headers: Headers
    ) -> bytes | None:
        """Return the response to a request that is refused, or None for the application to respond.

        Args:
            method: the request's method.
            target: its URL, with the query string.
            headers: its headers, with names in lower case.
            began: time.monotonic() at its first byte.
            default_headers: the headers that the server adds to every response.
        """
        if not self._engine.is_full() or self._lifecycle.draining:
            return None
        path = target.partition(b"?")[0]
        try:
            prepared = self._targets[method, path]
        except KeyError:
            prepared = self._prepare(method, path)
        if prepared is None:
            return None
        seconds = time.monotonic() - began
        self._count(method, prepared.route, seconds)
        lines = self._security_lines + lines_of(tuple(default_headers))
        if self._cors is not None:
            lines += self._cors.lines(headers)
        return prepared.response(
            request_id(headers).encode(),
            b"retry-after: %d\r\nserver-timing: total;dur=%.2f\r\n%b"
            % (self._engine.retry_after_s, seconds * 1e3, lines),
        )

    def _prepare(self, method: bytes, path: bytes) -> _Prepared | None:
        """Prepare the refusal for a target, and keep it."""
        if self._routes is None:
            self._routes = _queueing_routes(self._app)
        text = without_root(unquote(path.decode("latin-1")), self._root_path)
        prepared = None
        for route in self._routes:
            if route.method == method and route.pattern.match(text):
                media_type, body = problem_bytes(text, QueueFull, self._message, _MARK)
                parts = body.split(_MARK.encode())
                prepared = _Prepared(route.path, media_type.encode(), parts)
                break
        if len(self._targets) >= _MAX_TARGETS:
            self._targets.clear()
        self._targets[method, path] = prepared
        return prepared

    def _count(self, method: bytes, route: str, seconds: float) -> None:
        self._metrics.requests(method.decode(), route, STATUS[QueueFull], "", "").inc()
        self._metrics.seconds(route).observe(seconds)
        self._metrics.rejections(QueueFull.code).inc()
        if not self._unlogged:
            asyncio.get_running_loop().call_later(_LOG_INTERVAL_S, self._log)
        self._unlogged += 1

    def _log(self) -> None:
        count, self._unlogged = self._unlogged, 0
        fields = {"requests": count, "status": STATUS[QueueFull], "code": QueueFull.code}
        log.info("requests refused", extra={"fields": fields})


def _queueing_routes(app: FastAPI) -> Sequence[_Route]:
    status, code = STATUS[QueueFull], f"`{QueueFull.code}`"  # wrong keys have the same status
    routes = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or not context.path:
            continue
        if code in route.responses.get(status, {}).get("description", ""):
            pattern, _, _ = compile_path(context.path)
            routes += [
                _Route(method.encode(), pattern, context.path) for method in route.methods or ()
            ]
    return routes


Refuse = Callable[[bytes, bytes, Headers, float, Headers], bytes | None]
"""The type of `EarlyRefusal.response`."""
