"""The photos of a request: one as the raw body, or one or several as multipart files."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from app.api.request.body import read_body
from app.api.request.multipart import is_multipart, split_form
from app.api.service import Service
from app.errors import TooManyFiles
from app.memory_budget import MemoryShare

_FILE = {"type": "string", "format": "binary"}
_RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")


@dataclass(frozen=True)
class Photos:
    """The photos and form fields of a request."""

    files: Sequence[bytes]
    """The encoded images, at least one."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The other fields of a form."""

    @property
    def has_several(self) -> bool:
        """True if there is more than one photo."""
        return len(self.files) > 1

    def single_photo(self) -> bytes:
        """Return the only photo.

        Raises:
            TooManyFiles: the request has several photos.
        """
        if self.has_several:
            raise TooManyFiles(
                f"The body has {len(self.files)} files, but this route accepts one photo. "
                "Send one at a time."
            )
        return self.files[0]


async def read_photos(request: Request, service: Service, share: MemoryShare) -> Photos:
    """Read the photos from the request's body.

    Raises:
        InputError: the body is too large, too slow, or not what its content type says.
        QueueFull: the bodies of all requests together exceed the memory budget.
        ClientGone: the client left before the body was complete.
    """
    limits = service.limits
    content_type = request.headers.get("content-type", "")
    if not is_multipart(content_type):
        return Photos([await read_body(request, limits.max_image_bytes, limits, share)])
    body = await read_body(request, limits.max_body_bytes, limits, share)
    form = await asyncio.to_thread(split_form, body, content_type, limits.max_files)
    return Photos(form.files, form.fields)


def photo_body(*, several: bool, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the OpenAPI description of a body with photos.

    Args:
        several: whether a form may have several files.
        fields: the other fields of a form, each with its description.
    """
    files = {"type": "array", "items": _FILE} if several else _FILE
    texts = {name: {"type": "string", "description": text} for name, text in (fields or {}).items()}
    return {
        "required": True,
        "description": "An image as the raw body, with any content type, or "
        + ("one or several files" if several else "a file")
        + " as `multipart/form-data`.",
        "content": {
            **{name: {"schema": _FILE} for name in (*_RAW_TYPES, "application/octet-stream")},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": files, **texts},
                    "required": ["file"],
                }
            },
        },
    }
