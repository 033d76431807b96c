"""The outermost middleware, for a proxy in front and pages of other origins; none by default.

request -> the client that a trusted proxy names -> without the root path -> CORS -> the application
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api.middleware.cors import cors_options
from app.api.middleware.root_path import RootPath, check_root_path

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable
    from uvicorn._types import Scope as ASGIScope

_PEER = "peer"
"""The key in a scope's state under which the address of the connection is put."""


def add_outer_middleware(
    app: FastAPI,
    *,
    cors_origins: Sequence[str],
    root_path: str | None,
    trusted_proxies: list[str],
) -> None:
    """Add the middleware that the settings require, around what `app` has already.

    Args:
        app: the application, with all of its routes.
        cors_origins: the origins whose pages may use the service.
        root_path: the path prefix of the proxy.
        trusted_proxies: the proxies that name the client.

    Raises:
        BadParameter: the root path begins like a route.
    """
    if cors_origins:
        app.add_middleware(CORSMiddleware, **cors_options(cors_origins))
    if root_path:
        paths = (context.path for context in iter_route_contexts(app.routes))
        check_root_path(root_path, [path for path in paths if path])
        app.add_middleware(RootPath, root_path=root_path)
        app.servers.append({"url": root_path})
    if trusted_proxies:
        app.add_middleware(TrustedProxies, trusted=trusted_proxies)


class TrustedProxies:
    """Takes the client's address from X-Forwarded-For, if a trusted proxy sent it.

    uvicorn's middleware checks who sent it. What isn't an address is ignored, since with `*` any
    client may write anything there, of any length.

    Args:
        app: the application inside.
        trusted: the addresses and networks of the proxies; `*`: all.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self._app = app
        self._headers = ProxyHeadersMiddleware(
            cast("ASGI3Application", self._checked), trusted_hosts=trusted
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its client's address."""
        if scope["type"] == "http":
            scope.setdefault("state", {})[_PEER] = scope.get("client")
        await self._headers(
            cast("ASGIScope", scope),
            cast("ASGIReceiveCallable", receive),
            cast("ASGISendCallable", send),
        )

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_address(scope.get("client")):
            scope["client"] = scope["state"][_PEER]
        await self._app(scope, receive, send)


def _is_address(client: tuple[str, int] | None) -> bool:
    try:
        ip_address((client or ("", 0))[0])
    except ValueError:
        return False
    return True
