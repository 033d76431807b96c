"""Images as nested lists in JSON: text -> arrays, without ever becoming Python lists.

text -> `[[[` … `]]]` -> without its digits, is it S x S x 3? -> its numbers, a window at a time
-> uint8 (S, S, 3)

A canvas has 691,200 numbers. json.loads would take twenty times their memory, and hold the
interpreter's lock, so the event loop, for a fifth of a second each.
"""

import json
import re
from collections.abc import Collection
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.errors import BadParameter

PLACE = "lifted image"
"""The key of the object that stands in an image's place."""

_BEGIN = re.compile(rb"\[\s*\[\s*\[(?!\s*\[)")
_END = re.compile(rb"\]\s*\]\s*\]")
_NUMBERS = b"0123456789.eE+- \t\r\n"
_UNBRACKETED = bytes.maketrans(b"[]", b"  ")
_WINDOW_BYTES = 128 * 1024
"""Of text that is converted at once: some milliseconds."""
_MAX_VALUE = 255


def lift(text: bytes, sides: Collection[int]) -> tuple[bytes, list[NDArray[np.uint8]]]:
    """The text with `{PLACE: i}` in place of each image, and the images (S, S, 3).

    Args:
        text: JSON; lists of other shapes stay as they are.
        sides: the S that images may have.

    Raises:
        BadParameter: an image holds other numbers than whole ones from 0 to 255.
    """
    kept: list[bytes] = []
    images: list[NDArray[np.uint8]] = []
    copied = 0
    while begin := _BEGIN.search(text, copied):
        end = _END.search(text, begin.end())
        if end is None:
            break
        piece = text[begin.start() : end.end()]
        kept.append(text[copied : begin.start()])
        side = _side_of(piece, sides)
        if side is None:
            kept.append(piece)
        else:
            kept.append(b'{"%s":%d}' % (PLACE.encode(), len(images)))
            images.append(_pixels(piece, side))
        copied = end.end()
    return b"".join([*kept, text[copied:]]), images


def wanted(sides: Collection[int]) -> str:
    """What an image in nested lists is."""
    shapes = " or ".join(f"{side} x {side} x 3" for side in sorted(sides))
    return f"nested lists of {shapes} whole numbers from 0 to {_MAX_VALUE}"


def _side_of(piece: bytes, sides: Collection[int]) -> int | None:
    skeleton = piece.translate(None, _NUMBERS)
    return next((side for side in sides if skeleton == _skeleton(side)), None)


@cache
def _skeleton(side: int) -> bytes:
    row = b"[" + b",".join([b"[,,]"] * side) + b"]"
    return b"[" + b",".join([row] * side) + b"]"


def _pixels(piece: bytes, side: int) -> NDArray[np.uint8]:
    flat = piece.translate(_UNBRACKETED)
    windows: list[NDArray[np.uint8]] = []
    start = 0
    try:
        while start < len(flat):
            last = len(flat) - start <= _WINDOW_BYTES
            stop = len(flat) if last else flat.rindex(b",", start, start + _WINDOW_BYTES)
            windows.append(_bytes(flat[start:stop]))
            start = stop + 1
        return np.concatenate(windows).reshape(side, side, 3)
    except (ValueError, OverflowError):
        raise BadParameter(
            "An image in lists holds other values than whole numbers from 0 to 255. Send the "
            "pixels as they are; the model scales them itself."
        ) from None


def _bytes(numbers: bytes) -> NDArray[np.uint8]:
    values = np.array(json.loads(b"[" + numbers + b"]"), np.float64)
    if not ((values >= 0) & (values <= _MAX_VALUE) & (values == np.floor(values))).all():
        raise ValueError("not a byte")
    return values.astype(np.uint8)
