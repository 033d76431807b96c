"""How a JPEG is laid out, told from its markers before any decoder sees it.

SOI -> segments, each with a length -> scans: a segment and entropy-coded data up to the next marker
    -> EOI; what stands behind it (a second picture, a video) is nobody's business

A decoder does work for every segment, and goes over the whole picture in every scan, however few
bytes either has: 200 KB with 20,000 empty scans would keep one busy for a minute and a half.

Markers are found by NumPy. A regular expression took a quarter of a large photo's decoding, held
the interpreter meanwhile, and went over a run of 0xFF again from each of its bytes.
"""

import numpy as np

from app.errors import BrokenImage

MAX_SEGMENTS = 4_000
"""Tables, comments, profiles and thumbnails; photos have ten to a hundred, each of up to 64 KB."""

MAX_SCANS = 200
"""Of a progressive JPEG; encoders write 3 to about 40."""

MAX_SEQUENTIAL_SCANS = 8
"""Of any other: one, or one for each of at most four components."""

_MARKS, _SCAN, _END = 0xFF, 0xDA, 0xD9
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_FIRST_BLOCK_BYTES, _LAST_BLOCK_BYTES = 64, 1 << 20
"""What is searched in one go: little at first, for the next marker may be near."""

_IS_MARKER = np.ones(256, np.bool_)
"""By the byte behind 0xFF. Padding, restarts and a stuffed zero belong to the data between two
markers."""
_IS_MARKER[[0x00, 0x01, *range(0xD0, 0xD9), 0xFF]] = False


def check_segments(data: bytes) -> None:
    """Refuse a JPEG that is made to keep a decoder busy.

    Raises:
        BrokenImage: it has more segments or scans than any camera or program writes.
    """
    segments = scans = 0
    max_scans = MAX_SEQUENTIAL_SCANS
    at = 2
    while (found := _next_marker(data, at)) is not None:
        marker, at = data[found + 1], found + 2
        if marker == _END:
            return
        segments += 1
        scans += marker == _SCAN
        if marker in _PROGRESSIVE:
            max_scans = MAX_SCANS
        if segments > MAX_SEGMENTS or scans > max_scans:
            raise BrokenImage(
                f"The JPEG has more than {MAX_SEGMENTS} segments or {max_scans} scans, more than "
                "any camera or program writes. Save it anew."
            )
        at += max(2, int.from_bytes(data[at : at + 2], "big"))


def _next_marker(data: bytes, at: int) -> int | None:
    """Where the first marker at or behind `at` begins."""
    if at + 1 < len(data) and data[at] == _MARKS and _IS_MARKER[data[at + 1]]:
        return at  # segments stand side by side
    size = _FIRST_BLOCK_BYTES
    while (end := min(at + size, len(data) - 1)) > at:
        block = np.frombuffer(data, np.uint8, end - at + 1, at)
        starts = np.flatnonzero(block[:-1] == _MARKS)
        markers = starts[_IS_MARKER[block[starts + 1]]]
        if markers.size:
            return at + int(markers[0])
        at, size = end, min(8 * size, _LAST_BLOCK_BYTES)
    return None
