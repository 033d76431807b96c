"""A request's JSON -> a dict, without its tensors ever becoming Python numbers.

    text -> every `"data": [...]` of whole numbers is lifted out, a window at a time -> bytes
         -> what is left must be small -> json.loads

A canvas as JSON has 691,200 numbers. Over a body that is full of them `json.loads` would hold the
interpreter's lock, and with it the event loop, for a second, and take many times its memory.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import BadParameter

_MAX_VALUES = 10_000
"""In the JSON beside what is lifted out; a request needs some dozens."""
_MAX_KEYS = 16
"""Of name "data" that are looked at; what stands behind further ones counts as values."""
_WINDOW_BYTES = 128 * 1024
"""Of text that is converted at once: some milliseconds."""
_KEY = b'"data"'
_COLON = re.compile(rb"\s*:\s*(?=\[)")
_RUN = re.compile(rb"[\[\]0-9\s,]*")
_UNBRACKETED = bytes.maketrans(b"[]", b"  ")


@dataclass(frozen=True)
class Document:
    """A JSON object; where an array was lifted out, its place in `lifted` stands."""

    value: Mapping[str, Any]
    lifted: list[bytes]
    """Each a tensor of numbers from 0 to 255, one a byte, whatever its nesting was."""

    def numbers(self, data: object) -> bytes | None:
        """The array that was lifted from where `data` stands now; None if none was."""
        if type(data) is int and 0 <= data < len(self.lifted):
            return self.lifted[data]
        return None


def read_document(text: bytes) -> Document:
    """Read a JSON object.

    Raises:
        BadParameter: it is none, holds too much, or a number that is no byte.
    """
    rest, lifted = _lift(text)
    if sum(rest.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise BadParameter(
            f"The JSON has more than {_MAX_VALUES} values beside `data` of whole numbers. Send "
            "images as UINT8 or BYTES."
        )
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError) as err:
        raise BadParameter("The body's JSON can't be read. Send one valid JSON object.") from err
    if not isinstance(value, dict):
        raise BadParameter("The body's JSON is no object. Send one, as in {'inputs': [...]}.")
    return Document(value, lifted)


def _lift(text: bytes) -> tuple[bytes, list[bytes]]:
    """The text with places in `lifted` instead of arrays, and the arrays."""
    kept: list[bytes] = []
    lifted: list[bytes] = []
    copied = key = 0
    for _ in range(_MAX_KEYS):
        if (key := text.find(_KEY, key)) < 0:
            break
        key += len(_KEY)
        if not (colon := _COLON.match(text, key)):
            continue
        start, end = colon.end(), _end_of_numbers(text, colon.end())
        if end is not None:
            kept += [text[copied:start], str(len(lifted)).encode()]
            lifted.append(_to_bytes(text, start, end))
            copied = key = end
    return b"".join([*kept, text[copied:]]), lifted


def _end_of_numbers(text: bytes, start: int) -> int | None:
    """Where the array that begins at `start` ends; None if it holds more than whole numbers."""
    end = start
    while True:  # a window at a time, so that other threads get their turn
        stop = end + _WINDOW_BYTES
        run = _RUN.match(text, end, stop)
        end = run.end() if run else end
        if end < stop:
            break
    end = text.rfind(b"]", start, end) + 1
    is_whole = end > 0 and text.count(b"[", start, end) == text.count(b"]", start, end)
    return end if is_whole else None


def _to_bytes(text: bytes, start: int, end: int) -> bytes:
    """The numbers between `start` and `end`.

    Raises:
        BadParameter: one is no byte, or they aren't separated by commas.
    """
    numbers = bytearray()
    try:
        while start < end:
            stop = end
            if end - start > _WINDOW_BYTES:
                stop = text.rindex(b",", start, start + _WINDOW_BYTES)
            piece = text[start:stop].translate(_UNBRACKETED)
            numbers += bytes(json.loads(b"[" + piece + b"]"))
            start = stop + 1
    except ValueError as err:
        raise BadParameter(
            "`data` of numbers must hold whole ones from 0 to 255, separated by commas."
        ) from err
    return bytes(numbers)
