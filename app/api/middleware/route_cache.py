"""A cache of routing: FastAPI routes a URL and validates its parameters once.

    first request for a URL -> FastAPI: routing, dependencies, parameters -> the endpoint; cached
    later requests          -> RouteCacheMiddleware: the API key -> the endpoint, same parameters

Routing, five parameters and a key take FastAPI longer than all other steps of a request except
decoding and running the model (docs/experiments.md).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.auth import check_key, key_from_headers, require_key
from app.api.service import get_service
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import HubelError

MAX_URLS = 256
"""The cache is emptied when it holds this many; clients usually request one or two URLs."""
_MAX_URL_BYTES = 512
"""Longer URLs are not cached."""

_PER_REQUEST = ("request", "service")
"""The arguments of an endpoint that are passed anew with each request."""
_REPEATED = (require_key, get_service)
"""The dependencies that `RouteCacheMiddleware` repeats for each request."""
_ONCE_PER_URL = (forbid_unknown_parameters,)
"""The dependencies whose result depends on the URL alone."""

Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class _CachedCall:
    """An endpoint and its validated parameters for one URL."""

    route: BaseRoute
    endpoint: Endpoint
    parameters: Mapping[str, Any]


class RouteCache:
    """The cached calls of one application, by method, path and query string."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, bytes], _CachedCall] = {}

    def __len__(self) -> int:
        """Return the number of cached URLs."""
        return len(self._calls)

    def get(self, scope: Scope) -> _CachedCall | None:
        """Return the cached call for a request, or None."""
        if scope["type"] != "http":
            return None
        return self._calls.get((scope["method"], scope["path"], scope["query_string"]))

    def put(self, scope: Scope, endpoint: Endpoint, arguments: Mapping[str, Any]) -> None:
        """Cache the call of `endpoint` with `arguments`, unless the URL is unlikely to come again.

        It is if it is long, or has a crop, which differs from photo to photo.
        """
        path, query = scope["path"], scope["query_string"]
        if len(path) + len(query) > _MAX_URL_BYTES or b"crop=" in query:
            return
        if len(self._calls) >= MAX_URLS:
            self._calls.clear()
        parameters = {name: arguments[name] for name in arguments if name not in _PER_REQUEST}
        self._calls[scope["method"], path, query] = _CachedCall(
            scope["route"], endpoint, parameters
        )


class CachedRoute(APIRoute):
    """A route whose calls are cached by URL.

    Its endpoint takes `request`, `service` and parameters from the path and the query. Its only
    dependencies are `require_key` and `get_service`, which the cache repeats, and
    `forbid_unknown_parameters`, which depends on the URL alone.

    Raises:
        TypeError: the endpoint has another parameter or dependency, which the cache would skip.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        @wraps(endpoint)
        async def call_and_cache(**arguments: Any) -> Response:
            request: Request = arguments["request"]
            _require_repeatable(path, _included_dependant(request.app, self))
            request.app.state.route_cache.put(request.scope, endpoint, arguments)
            return await endpoint(**arguments)

        super().__init__(path, call_and_cache, **options)
        dependant = self.dependant
        if any(
            (
                dependant.header_params,
                dependant.cookie_params,
                dependant.response_param_name,
                self.body_field,
            )
        ):
            raise TypeError(f"{path} has parameters outside its URL. Use a plain route.")
        _require_repeatable(path, dependant)


def _require_repeatable(path: str, dependant: Dependant) -> None:
    """Raise TypeError if the route has a dependency that a cached call would skip."""
    if skipped := _skipped_dependencies(dependant):
        raise TypeError(
            f"{path} depends on {', '.join(skipped)}, which would be skipped once a URL is cached. "
            "Use a plain route."
        )


def _skipped_dependencies(dependant: Dependant) -> list[str]:
    """Return the names of the dependencies that the cache does not repeat, nested ones too."""
    names = []
    for dependency in dependant.dependencies:
        if dependency.call not in (*_REPEATED, *_ONCE_PER_URL):
            names.append(getattr(dependency.call, "__qualname__", type(dependency.call).__name__))
            names.extend(_skipped_dependencies(dependency))
    return names


def _included_dependant(app: FastAPI, route: APIRoute) -> Dependant:
    """Return the dependencies of `route` with those that `app` added when it included its router.

    FastAPI adds them without constructing the route again, so its constructor can't check them.
    """
    for context in iter_route_contexts(app.routes):
        if context.original_route is route:
            included: Dependant = context.dependant
            return included
    return route.dependant


class RouteCacheMiddleware:
    """The middleware that calls cached endpoints; other requests pass through.

    Args:
        app: the application inside.
        route_cache: the cache that `CachedRoute` fills.
        error_response: makes the response to an error.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        route_cache: RouteCache,
        error_response: Callable[[Request, HubelError], Response],
    ) -> None:
        self._app = app
        self._route_cache = route_cache
        self._error_response = error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond from the cached call, or pass the request on."""
        cached = self._route_cache.get(scope)
        if cached is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = cached.route
        request = Request(scope, receive, send)
        try:
            service = await get_service(request)
            check_key(request, service.keys, key_from_headers(request))
            response = await cached.endpoint(request=request, service=service, **cached.parameters)
        except HubelError as err:
            response = self._error_response(request, err)
            # The frames of the traceback refer to the error, a cycle that keeps the body in memory
            err.__traceback__ = None
        await response(scope, receive, send)
