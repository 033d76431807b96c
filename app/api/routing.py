"""Routing beyond FastAPI's rules: complete `Allow` headers, and paths with a trailing slash.

no route matches -> the path ends with a slash: the route without it, if there is one
                 -> 404
a route matches, but not the method -> 405, `Allow` with the methods of all routes of that path

FastAPI redirects a path with a slash to an absolute URL, with the scheme and host that this service
sees. Behind a proxy these are not the client's. Clients don't repeat a POST after a redirect by
themselves.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send


class WithoutTrailingSlash:
    """The application for paths that no route matches: it tries them without trailing slashes.

    Args:
        router: the application of all routes.
        not_found: the application that responds with 404.
    """

    def __init__(self, router: ASGIApp, not_found: ASGIApp) -> None:
        self._router = router
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the path without its trailing slashes, or respond with 404."""
        path = scope["path"]
        if scope["type"] != "http" or not path.endswith("/") or path == "/":
            await self._not_found(scope, receive, send)
            return
        scope["path"] = path.rstrip("/") or "/"
        await self._router(scope, receive, send)


def install(app: FastAPI) -> None:
    """Serve paths with a trailing slash from `app`; it must have been made with no redirects."""
    router = app.router
    router.default = WithoutTrailingSlash(router, router.not_found)


def allowed_methods(routes: Sequence[BaseRoute], path: str) -> str:
    """Return the value of `Allow` for `path`, in alphabetical order.

    Where several templates match, the one with the most literal text is the resource: `m:predict`
    is the method of a model, not a model of that name.
    """
    matching = [route for route in map(_Template, iter_route_contexts(routes)) if route.fits(path)]
    most = max((route.literal for route in matching), default=0)
    methods = {method for route in matching if route.literal == most for method in route.methods}
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


class _Template:
    """The path of one route."""

    def __init__(self, context: Any) -> None:
        self.methods = context.methods or ()
        self._regex = getattr(context, "path_regex", None)
        parts = (context.path_format or "").split("{")
        self.literal = len(parts[0]) + sum(len(part.partition("}")[2]) for part in parts[1:])
        """Number of characters outside of parameters."""

    def fits(self, path: str) -> bool:
        return self._regex is not None and self._regex.match(path) is not None
