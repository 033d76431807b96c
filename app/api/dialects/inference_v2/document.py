"""Parse a v2 request's JSON; each `"data": [...]` of whole numbers in it becomes bytes.

The tensor may be flat or nested: the request states its shape.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.api.dialects import json_numbers
from app.errors import BadParameter

_MAX_KEYS = 16
"""Maximum number of keys "data" that are examined; arrays behind later ones count as values."""
_SEARCH_BYTES = 128 * 1024
"""Text that is searched at once, so that other threads can run between two searches."""
_KEY = b'"data"'
_COLON = re.compile(rb"\s*:\s*(?=\[)")
_NUMBERS = re.compile(rb"[\[\]0-9\s,]*")


def read_document(text: bytes) -> Mapping[str, Any]:
    """Parse a JSON object; each `data` of whole numbers is bytes in it.

    Raises:
        BadParameter: the text is not a JSON object, has too many values or a number out of range.
    """
    document = json_numbers.load(
        text,
        _find_arrays(text),
        advice="Send images as UINT8 or BYTES.",
        range_error="`data` of numbers must hold whole numbers from 0 to 255, separated by "
        "commas. Send each pixel as it is.",
    )
    if not isinstance(document, dict):
        raise BadParameter("The body's JSON is not an object. Send one, as in {'inputs': [...]}.")
    return document


def _find_arrays(text: bytes) -> Iterator[json_numbers.Span]:
    place = 0
    for _ in range(_MAX_KEYS):
        if (place := text.find(_KEY, place)) < 0:
            return
        place += len(_KEY)
        if not (colon := _COLON.match(text, place)):
            continue
        begin, end = colon.end(), _end_of_numbers(text, colon.end())
        if end is not None:
            yield begin, end
            place = end


def _end_of_numbers(text: bytes, begin: int) -> int | None:
    """Return the end of the array at `begin`; None if it holds more than whole numbers."""
    end = begin
    while True:
        stop = end + _SEARCH_BYTES
        numbers = _NUMBERS.match(text, end, stop)
        end = numbers.end() if numbers else end
        if end < stop:
            break
    end = text.rfind(b"]", begin, end) + 1
    is_array = end > 0 and text.count(b"[", begin, end) == text.count(b"]", begin, end)
    return end if is_array else None
