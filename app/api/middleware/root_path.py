"""The path prefix below which a proxy serves the service, such as /hubel.

/hubel/api/v1/classify -> /api/v1/classify, for a proxy that passes the prefix on
/api/v1/classify       -> unchanged, for a proxy that removes it
/hubel                 -> a redirect to /hubel/, which the links of the page are relative to

Everything behind it sees paths without the prefix: routes, error formats, caches, log and metrics.
"""

from collections.abc import Iterable
from typing import AnyStr

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import BadParameter


class RootPath:
    """The middleware that removes the prefix; without one it isn't installed.

    Args:
        app: the application inside.
        root_path: the prefix, without a slash at its end.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the path below the prefix."""
        if scope["type"] == "http":
            if scope["path"] == self._root_path:
                redirect = RedirectResponse(f"{self._root_path.rpartition('/')[2]}/")
                await redirect(scope, receive, send)
                return
            scope = {
                **scope,
                "path": without_root(scope["path"], self._root_path),
                "raw_path": without_root(scope["raw_path"], self._root_path.encode()),
            }
        await self._app(scope, receive, send)


def without_root(path: AnyStr, root_path: AnyStr) -> AnyStr:
    """Return `path` without the prefix, if it has it."""
    if root_path and path.startswith(root_path) and path[len(root_path) :][:1] in ("/", b"/"):
        return path[len(root_path) :]
    return path


def check_root_path(root_path: str, routes: Iterable[str]) -> None:
    """Check that no route of the service itself begins like the prefix.

    Raises:
        BadParameter: one does, so that the prefix could not be told from it.
    """
    first = root_path.split("/")[1]
    if first in {route.split("/")[1] for route in routes}:
        raise BadParameter(
            f"HUBEL_ROOT_PATH={root_path} begins like a route of the service itself. Choose "
            "another prefix, such as /hubel, or unset it if the proxy removes the prefix."
        )
