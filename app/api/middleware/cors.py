"""Cross-origin requests: which pages of other origins may use the service in a browser.

preflight (OPTIONS)            -> Starlette's CORSMiddleware responds
any other response             -> CORSMiddleware adds the fields, to errors too
refusals before the application -> `CorsLines`: the same fields, as prepared lines

Keys travel in headers that a page sets by itself, so credentials (cookies) are never allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

_EXPOSED = (
    *("X-Request-ID", "Server-Timing", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("WWW-Authenticate", "Inference-Header-Content-Length"),
)
"""The fields of responses that a page may read, besides those that every page may."""


def cors_options(origins: Sequence[str]) -> Mapping[str, Any]:
    """Return the arguments of Starlette's CORSMiddleware for some origins; `*`: for all."""
    return {
        "allow_origins": tuple(origins),
        "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        "allow_headers": ("*",),
        "expose_headers": _EXPOSED,
    }


class CorsLines:
    """The fields of a response that is written as bytes.

    Args:
        origins: the allowed origins.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._rules = CORSMiddleware(_no_application, **cors_options(origins))

    def lines(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the lines for a request with `headers`, each with its line end."""
        origin = next((value for name, value in headers if name == b"origin"), None)
        fields = {"Vary": "Origin"}
        if origin is not None:
            fields.update(self._rules.simple_headers)
            text = origin.decode("latin-1")
            if not self._rules.allow_all_origins and self._rules.is_allowed_origin(text):
                fields["Access-Control-Allow-Origin"] = text
        return "".join(f"{name.lower()}: {text}\r\n" for name, text in fields.items()).encode()


async def _no_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for the application of a middleware whose rules alone are read; never called."""
    raise NotImplementedError
