"""The short way to an endpoint: a URL is routed and its parameters validated once, and not anew.

the first request for a URL -> FastAPI: routing, dependencies, parameters -> the endpoint; kept
each later one              -> `Shortcut`: the key -> the endpoint, with the same parameters

FastAPI takes longer over a route, five parameters and a key than everything else on a request's
way does, decoding and running the model aside (DECISIONS.md).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.auth import key_of
from app.api.service import get_service
from app.errors import HubelError

MAX_URLS = 256
"""Kept at a time; clients ask for one or two."""
_MAX_URL_BYTES = 512
"""A longer one is not kept."""

_PER_REQUEST = ("request", "service")
"""Arguments of an endpoint that are not parameters."""

Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class _Ready:
    """All that FastAPI found out about a URL."""

    route: BaseRoute
    endpoint: Endpoint
    values: Mapping[str, Any]


class RouteCache:
    """What an application has found out about URLs."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, str, bytes], _Ready] = {}

    def __len__(self) -> int:
        """How many URLs are known."""
        return len(self._ready)

    def get(self, scope: Scope) -> _Ready | None:
        """What is known of a request's URL."""
        if scope["type"] != "http":
            return None
        return self._ready.get((scope["method"], scope["path"], scope["query_string"]))

    def keep(self, scope: Scope, endpoint: Endpoint, arguments: Mapping[str, Any]) -> None:
        """Keep what `endpoint` was called with, if the URL is no longer than is usual."""
        path, query = scope["path"], scope["query_string"]
        if len(path) + len(query) > _MAX_URL_BYTES:
            return
        if len(self._ready) >= MAX_URLS:
            self._ready.clear()
        values = {name: value for name, value in arguments.items() if name not in _PER_REQUEST}
        self._ready[scope["method"], path, query] = _Ready(scope["route"], endpoint, values)


class CachedRoute(APIRoute):
    """For endpoints that take `request`, `service` and parameters in the path or the query alone.

    They ask for the API key, as `app.api.auth.require_key` does.

    Raises:
        TypeError: the endpoint takes something else, which the URL would not tell.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        @wraps(endpoint)
        async def remembering(**arguments: Any) -> Response:
            request: Request = arguments["request"]
            request.app.state.route_cache.keep(request.scope, endpoint, arguments)
            return await endpoint(**arguments)

        super().__init__(path, remembering, **options)
        others = (self.dependant.header_params, self.dependant.cookie_params, self.body_field)
        if any(others):
            raise TypeError(f"{path} has parameters outside its URL; use a plain route")


class RouteCacheMiddleware:
    """The middleware that takes it; a request for a URL that isn't known passes through.

    Args:
        app: the application inside.
        remembered: what `ValidatedOnce` keeps.
        respond: makes the answer to an error.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        route_cache: RouteCache,
        respond: Callable[[Request, HubelError], Response],
    ) -> None:
        self._app = app
        self._remembered = route_cache
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        ready = self._remembered.get(scope)
        if ready is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = ready.route
        request = Request(scope, receive, send)
        try:
            service = await get_service(request)
            service.keys.check(key_of(request))
            response = await ready.endpoint(request=request, service=service, **ready.values)
        except HubelError as err:
            response = self._respond(request, err)
            err.__traceback__ = None  # its frames hold the body, and the error: a cycle
        await response(scope, receive, send)
