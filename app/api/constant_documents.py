"""Documents that stay the same while the process runs: OpenAPI, the pages and their files.

first request  -> a thread makes the document, its ETag and its gzip form -> kept
later requests -> If-None-Match: 304
               -> Accept-Encoding: gzip: the kept gzip form, else the kept bytes; neither is copied
"""

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import Request, Response

from app.api.turns import Turns

_MIN_GZIP_BYTES = 1024
"""Shorter documents fit in one packet as they are."""
_TEXT = ("text/", "application/json", "image/svg+xml")
"""The media types that compression makes smaller."""


@dataclass(frozen=True)
class _Content:
    body: bytes
    etag: str
    gzipped: bytes | None


class ConstantDocument:
    """One document, made at the first request for it.

    Args:
        make: returns the document's bytes; it is called on a thread.
        media_type: the document's media type.
        turns: the turns that all constant documents of an application share.
        headers: further headers of each response.
    """

    def __init__(
        self,
        make: Callable[[], bytes],
        media_type: str,
        turns: Turns,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._make = make
        self._media_type = media_type
        self._turns = turns
        self._headers = {"Cache-Control": "no-cache", **(headers or {})}
        self._lock = asyncio.Lock()
        self._content: _Content | None = None

    async def response(self, request: Request) -> Response:
        """Return the document, or 304 if the client has it."""
        await self._turns.wait()
        content = self._content or await self._make_once()
        zipped = content.gzipped is not None and _accepts_gzip(request)
        etag = f'"{content.etag}-gzip"' if zipped else f'"{content.etag}"'
        headers = {**self._headers, "ETag": etag}
        if content.gzipped is not None:
            headers["Vary"] = "Accept-Encoding"
        if _has_current(request, content.etag):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        body = content.gzipped if zipped else content.body
        return Response(body, headers=headers, media_type=self._media_type)

    async def _make_once(self) -> _Content:
        async with self._lock:
            if self._content is None:
                self._content = await asyncio.to_thread(self._make_content)
            return self._content

    def _make_content(self) -> _Content:
        body = self._make()
        gzipped = None
        if self._media_type.startswith(_TEXT) and len(body) >= _MIN_GZIP_BYTES:
            gzipped = gzip.compress(body, mtime=0)
        return _Content(body, hashlib.sha256(body).hexdigest()[:32], gzipped)


def _accepts_gzip(request: Request) -> bool:
    for coding in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return weight.rstrip("0") not in ("q=", "q=0.")
    return False


def _has_current(request: Request, etag: str) -> bool:
    """Return whether If-None-Match names the document, in any form."""
    given = request.headers.get("if-none-match", "")
    names = {name.strip().removeprefix("W/").strip('"') for name in given.split(",")}
    return not names.isdisjoint((etag, f"{etag}-gzip", "*"))
