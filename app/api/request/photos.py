"""A request's photos: one as the raw body, or one or many as multipart files."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from app.api.request.body import read_body
from app.api.request.multipart import is_multipart, split_form
from app.api.service import Held, Service
from app.errors import TooManyFiles

_FILE = {"type": "string", "format": "binary"}
_RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")


@dataclass(frozen=True)
class Photos:
    """What a body held."""

    files: Sequence[bytes]
    """Encoded images, at least one."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """A form's other fields."""

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.files) > 1

    def only(self) -> bytes:
        """The one photo.

        Raises:
            TooManyFiles: there are several.
        """
        if self.several:
            raise TooManyFiles(
                f"The body has {len(self.files)} files, and one photo is looked at here. "
                "Send one at a time."
            )
        return self.files[0]


async def read_photos(request: Request, service: Service, held: Held) -> Photos:
    """Read the body, within the limits.

    Raises:
        InputError: it is too large, too slow, or not what its content type says.
        QueueFull: all requests together hold too much.
        ClientGone: the client left in the middle.
    """
    limits = service.limits
    content_type = request.headers.get("content-type", "")
    if not is_multipart(content_type):
        return Photos([await read_body(request, limits.max_image_bytes, limits, held)])
    body = await read_body(request, limits.max_body_bytes, limits, held)
    form = await asyncio.to_thread(split_form, body, content_type, limits.max_files)
    return Photos(form.files, form.fields)


def photo_body(*, several: bool, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What OpenAPI says of such a body.

    Args:
        several: whether a form may hold many files.
        fields: a form's other fields, each with its description.
    """
    files = {"type": "array", "items": _FILE} if several else _FILE
    texts = {name: {"type": "string", "description": text} for name, text in (fields or {}).items()}
    return {
        "required": True,
        "description": "An image as it is, under any content type; or, as `multipart/form-data`, "
        + ("one or many files." if several else "as a file."),
        "content": {
            **{kind: {"schema": _FILE} for kind in (*_RAW_TYPES, "application/octet-stream")},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": files, **texts},
                    "required": ["file"],
                }
            },
        },
    }
