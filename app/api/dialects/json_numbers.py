"""Read JSON with large arrays of numbers without making Python lists of them.

    text -> the dialect finds its arrays of numbers: the places where they begin and end
         -> each array becomes bytes, a window at a time; a placeholder takes its place
         -> what remains must have few values -> json.loads -> bytes in place of placeholders

A canvas as JSON has 691,200 numbers. `json.loads` would hold the interpreter's lock, and with it
the event loop, for a fifth of a second, and take twenty times their memory.
"""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from app.errors import BadParameter

Span = tuple[int, int]
"""The places in a text where an array begins and ends, as in `text[begin:end]`."""

MAX_VALUES = 10_000
"""Maximum number of values in one body, apart from arrays that the dialect found.

A value takes about a hundred bytes, and parsing it holds the interpreter's lock.
"""
_WINDOW_BYTES = 128 * 1024
"""Text that is converted at once; it takes a few milliseconds."""
_MAX_NUMBER = 255
_PLACEHOLDER = "extracted array"
"""The key of the object that takes an array's place in the text."""
_UNBRACKETED = bytes.maketrans(b"[]", b"  ")


def load(text: bytes, arrays: Iterable[Span], *, advice: str, range_error: str) -> Any:
    """Return the JSON document in `text`, with bytes in place of `arrays`.

    Args:
        text: the JSON.
        arrays: the arrays of numbers in it, in order. Their nesting is lost.
        advice: the sentence that says how to send images, for a document with too many values.
        range_error: the error for a number that is not a whole number from 0 to 255.

    Raises:
        BadParameter: the text is not JSON, has too many values or a number out of range.
    """
    try:
        rest, contents = _extract(text, arrays)
    except (ValueError, OverflowError) as err:
        raise BadParameter(range_error) from err
    if sum(map(rest.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BadParameter(f"The JSON has more than {MAX_VALUES} values. {advice}")
    try:
        return json.loads(rest, object_hook=partial(_restore, contents))
    except (ValueError, RecursionError) as err:
        raise BadParameter("The body is not JSON. See /docs for what is accepted.") from err


def _extract(text: bytes, arrays: Iterable[Span]) -> tuple[bytes, Sequence[bytes]]:
    """Return the text with placeholders, and the arrays' contents."""
    kept: list[bytes] = []
    contents: list[bytes] = []
    copied = 0
    for begin, end in arrays:
        kept += [text[copied:begin], b'{"%s":%d}' % (_PLACEHOLDER.encode(), len(contents))]
        contents.append(_to_bytes(text, begin, end))
        copied = end
    return b"".join([*kept, text[copied:]]), contents


def _restore(contents: Sequence[bytes], value: dict[str, Any]) -> Any:
    index = value.get(_PLACEHOLDER)
    return contents[index] if type(index) is int and 0 <= index < len(contents) else value


def _to_bytes(text: bytes, begin: int, end: int) -> bytes:
    """Return the numbers between `begin` and `end`, one byte each.

    Raises:
        ValueError: a number is not a whole number from 0 to 255, or a comma is missing.
        OverflowError: a number is infinite.
    """
    numbers = bytearray()
    while begin < end:
        stop = end
        if end - begin > _WINDOW_BYTES:
            stop = text.rindex(b",", begin, begin + _WINDOW_BYTES)
        window = json.loads(b"[" + text[begin:stop].translate(_UNBRACKETED) + b"]")
        try:
            numbers += bytes(window)
        except TypeError:  # floats, which may be whole
            numbers += _whole_floats(window)
        begin = stop + 1
    return bytes(numbers)


def _whole_floats(window: Sequence[float]) -> bytes:
    values = np.array(window, np.float64)
    if not ((values >= 0) & (values <= _MAX_NUMBER) & (values == np.floor(values))).all():
        raise ValueError("not a whole number from 0 to 255")
    return values.astype(np.uint8).tobytes()
