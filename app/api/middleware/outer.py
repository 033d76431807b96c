"""The outermost middleware, for a proxy in front and pages of other origins; none by default.

request -> the client that a trusted proxy names -> without the root path -> CORS -> the application
"""

from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware

from app.api.middleware.cors import cors_options
from app.api.middleware.root_path import RootPath, check_root_path


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
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted_proxies)
