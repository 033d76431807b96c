"""Images as nested lists in JSON: find those of shape S x S x 3, and make arrays of their bytes.

text -> `[[[` … `]]]` -> are its brackets and commas those of S x S x 3?
     -> `json_numbers` -> uint8 (S, S, 3)

TensorFlow Serving's bodies state no shape, so the brackets and commas must match an image's.
"""

import math
import re
from collections.abc import Collection, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.api.dialects.json_numbers import Span
from app.errors import BadParameter

CHANNELS = 3
RANGE_ERROR = (
    "An image in lists holds other values than whole numbers from 0 to 255. Send the pixels as "
    "they are; the model scales them itself."
)

_BEGIN = re.compile(rb"\[\s*\[\s*\[(?!\s*\[)")
_END = re.compile(rb"\]\s*\]\s*\]")
_NUMBERS = b"0123456789.eE+- \t\r\n"


def find_images(text: bytes, sides: Collection[int]) -> Iterator[Span]:
    """Yield the place of each image; lists of other shapes stay as they are.

    Args:
        text: JSON.
        sides: the S that images may have.
    """
    place = 0
    while begin := _BEGIN.search(text, place):
        end = _END.search(text, begin.end())
        if end is None:
            return
        place = end.end()
        if _is_image(text[begin.start() : place], sides):
            yield begin.start(), place


def to_array(content: bytes) -> NDArray[np.uint8]:
    """Return an image's bytes as (S, S, 3).

    Raises:
        BadParameter: the bytes are not S x S x 3, as when a number between two commas is missing.
    """
    side = math.isqrt(len(content) // CHANNELS)
    if len(content) != side * side * CHANNELS:
        raise BadParameter(RANGE_ERROR)
    return np.frombuffer(content, np.uint8).reshape(side, side, CHANNELS)


def describe(sides: Collection[int]) -> str:
    """Return how an image in nested lists must be sent, for an error."""
    shapes = " or ".join(f"{side} x {side} x 3" for side in sorted(sides))
    return f"nested lists of {shapes} whole numbers from 0 to 255"


def _is_image(piece: bytes, sides: Collection[int]) -> bool:
    skeleton = piece.translate(None, _NUMBERS)
    return any(skeleton == _skeleton(side) for side in sides)


@cache
def _skeleton(side: int) -> bytes:
    """Return the brackets and commas of an image."""
    row = b"[" + b",".join([b"[,,]"] * side) + b"]"
    return b"[" + b",".join([row] * side) + b"]"
