"""Images as nested lists in JSON: find those of shape H x W x 3, and make arrays of their bytes.

text -> `[[[` … `]]]` -> are its brackets and commas those of H x W x 3?
     -> `json_numbers` -> uint8 (H, W, 3)

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

Shape = tuple[int, int, int]
"""Height, width and channels."""

RANGE_ERROR = (
    "An image in lists holds other values than whole numbers from 0 to 255. Send the pixels as "
    "they are; the model scales them itself."
)

_BEGIN = re.compile(rb"\[\s*\[\s*\[(?!\s*\[)")
_END = re.compile(rb"\]\s*\]\s*\]")
_NUMBERS = b"0123456789.eE+- \t\r\n"


def find_images(text: bytes, shapes: Collection[Shape]) -> Iterator[Span]:
    """Yield the place of each image; lists of other shapes stay as they are.

    Args:
        text: JSON.
        shapes: those that images may have.
    """
    place = 0
    while begin := _BEGIN.search(text, place):
        end = _END.search(text, begin.end())
        if end is None:
            return
        place = end.end()
        if _is_image(text[begin.start() : place], shapes):
            yield begin.start(), place


def to_array(content: bytes, shapes: Collection[Shape]) -> NDArray[np.uint8]:
    """Return an image's bytes as (H, W, 3).

    Raises:
        BadParameter: their number is that of none of `shapes`, as when a number between two commas
            is missing.
    """
    for shape in shapes:
        if len(content) == math.prod(shape):
            return np.frombuffer(content, np.uint8).reshape(shape)
    raise BadParameter(RANGE_ERROR)


def describe(shapes: Collection[Shape]) -> str:
    """Return how an image in nested lists must be sent, for an error."""
    texts = " or ".join(f"{height} x {width} x 3" for height, width, _ in sorted(shapes))
    return f"nested lists of {texts} whole numbers from 0 to 255"


def _is_image(piece: bytes, shapes: Collection[Shape]) -> bool:
    skeleton = piece.translate(None, _NUMBERS)
    return any(skeleton == _skeleton(height, width) for height, width, _ in shapes)


@cache
def _skeleton(height: int, width: int) -> bytes:
    """Return the brackets and commas of an image."""
    row = b"[" + b",".join([b"[,,]"] * width) + b"]"
    return b"[" + b",".join([row] * height) + b"]"
