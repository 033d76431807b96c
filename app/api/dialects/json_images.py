"""Images inside JSON, for the protocols that send them this way.

body -> memory for parsing is reserved -> on a thread: `json_numbers` parses the JSON
-> the dialect takes the images out: base64 -> bytes
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from app.api.dialects import json_numbers
from app.errors import BadParameter
from app.memory_budget import MemoryBudget

T = TypeVar("T")

_COPIES = 2
"""Copies of a body that exist while it is read: the text, and the strings in it."""


def base64_length(size: int) -> int:
    """Return the length of `size` bytes in base64."""
    return -(-size // 3) * 4


def _no_arrays(text: bytes) -> Iterable[json_numbers.Span]:
    return ()


async def read_json(
    body: bytes,
    budget: MemoryBudget,
    interpret: Callable[[Any], T],
    *,
    find_arrays: Callable[[bytes], Iterable[json_numbers.Span]] = _no_arrays,
    advice: str = "Send images in base64.",
    range_error: str = "",
) -> T:
    """Parse the JSON in `body` on a thread and return what `interpret` makes of the document.

    Args:
        body: the text.
        budget: accounts for the memory that reading takes.
        interpret: receives the document; the arrays that `find_arrays` found are bytes in it.
        find_arrays: returns the places of the arrays of numbers in the text.
        advice: see `json_numbers.load`.
        range_error: see `json_numbers.load`.

    Raises:
        TooMuchMemory: reading takes more memory than the limit for all bodies together.
        QueueFull: all requests together hold too much memory.
        BadParameter: the text is not JSON, has too many values or a number out of range.
    """

    def read() -> T:
        arrays = find_arrays(body)
        return interpret(json_numbers.load(body, arrays, advice=advice, range_error=range_error))

    needed_bytes = (1 + _COPIES) * len(body)
    budget.check_fits(needed_bytes, "Reading the JSON", "Send fewer images at once.")
    with budget.hold() as reading:
        reading.grow_to(_COPIES * len(body))
        return await asyncio.to_thread(read)


def decode_base64(text: object, where: str) -> bytes:
    """Return the bytes of an image in base64.

    Args:
        text: the value in the JSON.
        where: its place in the JSON, for the error.

    Raises:
        BadParameter: the value is not base64.
    """
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass  # the same error as for a value that is not a string
    if isinstance(text, str) and text[:5].lower() == "data:":
        raise BadParameter(f"{where} is a data URI. Send only the base64 after its comma.")
    raise BadParameter(
        f"{where} is not base64. Send the image's bytes as a string in standard base64 with "
        "padding and without line breaks; paths and URLs are not read."
    )
