"""The photos of a request: one as the raw body, or one or several as multipart files."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from app.api.request.body import read_body
from app.api.request.multipart import Form, split_form
from app.api.request.parameters import PhotoParameters
from app.api.service import Service
from app.errors import TooManyFiles
from app.memory_budget import MemoryShare

_FILE = {"type": "string", "format": "binary"}
_RAW_TYPES = tuple(
    f"image/{format}" for format in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic")
)


@dataclass(frozen=True)
class Photos:
    """The photos of a request."""

    files: Sequence[bytes]
    """The encoded images, at least one."""

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


async def read_photo(request: Request, service: Service, share: MemoryShare) -> bytes:
    """Read a photo that is the whole body.

    Raises:
        InputError: the body is too large, too slow or compressed.
        QueueFull: the bodies of all requests together exceed the memory budget.
        ClientGone: the client left before the body was complete.
    """
    return await read_body(request, service.limits.max_image_bytes, service.limits, share)


async def read_form(request: Request, service: Service, share: MemoryShare) -> Form:
    """Read a multipart body with photos.

    Raises:
        InputError: the body is too large or too slow, is not multipart, or has no file.
        QueueFull: the bodies of all requests together exceed the memory budget.
        ClientGone: the client left before the body was complete.
    """
    limits = service.limits
    content_type = request.headers.get("content-type", "")
    body = await read_body(request, limits.max_body_bytes, limits, share)
    return await asyncio.to_thread(split_form, body, content_type, limits.max_files)


def photo_body(parameters: type[PhotoParameters], *, several: bool) -> dict[str, Any]:
    """Return the OpenAPI description of a body with photos.

    Args:
        parameters: the parameters, which a form may have as fields.
        several: whether a form may have several files.
    """
    files = {"type": "array", "items": _FILE} if several else _FILE
    schema = parameters.model_json_schema()["properties"]
    fields = {name: _field_schema(field) for name, field in schema.items()}
    return {
        "required": True,
        "description": "An image as the raw body, with any content type, or "
        + ("one or several files" if several else "a file")
        + " as `multipart/form-data`, with any of the query's parameters as fields.",
        "content": {
            **{name: {"schema": _FILE} for name in (*_RAW_TYPES, "application/octet-stream")},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": files, **fields},
                    "required": ["file"],
                }
            },
        },
    }


def _field_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a form's field: without null, which a form can't express, and default.

    Swagger UI would send a default and contradict the same parameter of the query. It sends nothing
    for an empty list, but can't show a form in which a list has no default.
    """
    types = [kind for kind in schema.get("anyOf", ()) if kind["type"] != "null"]
    dropped = ("anyOf",) if schema.get("default") == [] else ("anyOf", "default")
    kept = {name: value for name, value in schema.items() if name not in dropped}
    return {**kept, **(types[0] if types else {})}
