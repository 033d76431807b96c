"""Images inside JSON, for the protocols that send them so.

body -> room for what its reading takes? -> on a thread: images in nested lists are lifted out
(json_pixels) -> what is left must have few values -> JSON -> base64 -> bytes
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, TypeVar

from numpy.typing import NDArray

from app.api.dialects import json_pixels
from app.api.service import Buffer
from app.errors import BadParameter

T = TypeVar("T")

_TEXTS = 2
"""Copies of a body that its reading makes: the text, and the strings in it."""
_MAX_VALUES = 10_000
"""In one body, beside images in lists; each costs a hundred bytes, and a turn of the lock that
holds up everybody."""


def base64_length(size: int) -> int:
    """How long base64 of `size` bytes is."""
    return -(-size // 3) * 4


async def read_json(
    body: bytes, buffer: Buffer, understand: Callable[[Any], T], sides: Collection[int] = ()
) -> T:
    """What `understand` makes of the JSON in `body`, on a thread.

    Args:
        body: the text.
        buffer: where the memory that reading takes is accounted for.
        understand: is given the document; where nested lists held an image, there is its array.
        sides: that images in nested lists may have.

    Raises:
        QueueFull: all requests together hold too much.
        BadParameter: it isn't JSON, or has too many values.
    """
    with buffer.hold() as reading:
        reading.grow_to(_TEXTS * len(body))
        return await asyncio.to_thread(lambda: understand(_parse(body, sides)))


def decode_base64(text: object, where: str) -> bytes:
    """The bytes of an image in base64.

    Args:
        text: what was sent.
        where: it stands, for the error.

    Raises:
        BadParameter: it is something else.
    """
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass  # said below, as for what is no string
    raise BadParameter(
        f"{where} is not base64. Send the image's bytes as a string in standard base64 with "
        "padding and without line breaks; paths and URLs are not read."
    )


def _parse(body: bytes, sides: Collection[int]) -> Any:
    rest, images = json_pixels.lift(body, sides) if sides else (body, [])
    if sum(map(rest.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise BadParameter(
            f"The JSON has more than {_MAX_VALUES} values. Send images in base64"
            + (f", or as {json_pixels.wanted(sides)}." if sides else ".")
        )
    try:
        return json.loads(rest, object_hook=partial(_put_back, images))
    except (ValueError, RecursionError) as err:
        raise BadParameter("The body is not JSON. See /docs for what is accepted.") from err


def _put_back(images: list[NDArray[Any]], value: dict[str, Any]) -> Any:
    place = value.get(json_pixels.PLACE)
    return images[place] if type(place) is int and 0 <= place < len(images) else value
