"""A route whose parameters are validated once for each URL, and not anew for each request.

the first request for a URL -> FastAPI: dependencies, parameters -> the endpoint; they are kept
each later one              -> the key -> the endpoint, with the same parameters

FastAPI takes longer over five parameters and a key than everything else on a request's way does,
decoding and running the model aside (DECISIONS.md).
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.api.auth import key_of
from app.api.service import get_service

_MAX_URLS = 256
"""Kept at a time; clients ask for one or two."""
_MAX_URL_BYTES = 512
"""A longer one is not kept."""

_PER_REQUEST = ("request", "service")
"""Arguments of an endpoint that are not parameters."""


class ValidatedOnce(APIRoute):
    """For endpoints that take `request`, `service` and parameters in the path or the query alone.

    Raises:
        TypeError: the endpoint takes something else, which the URL would not tell.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Awaitable[Response]], **options: Any
    ) -> None:
        self._known: dict[tuple[str, bytes], dict[str, Any]] = {}
        self._then = endpoint

        @wraps(endpoint)
        async def remembering(**values: Any) -> Response:
            self._remember(values)
            return await endpoint(**values)

        super().__init__(path, remembering, **options)
        others = (self.dependant.header_params, self.dependant.cookie_params, self.body_field)
        if any(others):
            raise TypeError(f"{path} has parameters outside its URL; use a plain route")

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        validate = super().get_route_handler()

        async def handle(request: Request) -> Response:
            values = self._known.get(_url_of(request))
            if values is None:
                return await validate(request)
            service = await get_service(request)
            service.keys.check(key_of(request))
            return await self._then(request=request, service=service, **values)

        return handle

    def _remember(self, values: dict[str, Any]) -> None:
        path, query = _url_of(values["request"])
        if len(path) + len(query) > _MAX_URL_BYTES:
            return
        if len(self._known) >= _MAX_URLS:
            self._known.clear()
        self._known[path, query] = {
            name: value for name, value in values.items() if name not in _PER_REQUEST
        }


def _url_of(request: Request) -> tuple[str, bytes]:
    return request.scope["path"], request.scope["query_string"]
