"""How a JPEG is laid out, told from its markers before any decoder sees it.

SOI -> segments, each with a length -> scans: a segment and entropy-coded data up to the next marker
    -> EOI; what stands behind it (a second picture, a video) is nobody's business

A decoder does work for every segment, and goes over the whole picture in every scan, however few
bytes either has: 200 KB with 20,000 empty scans would keep one busy for a minute and a half.
"""

import re

from app.errors import BrokenImage

MAX_SEGMENTS = 4_000
"""Tables, comments, profiles and thumbnails; photos have ten to a hundred, each of up to 64 KB."""

MAX_SCANS = 200
"""Of a progressive JPEG; encoders write 3 to about 40."""

MAX_SEQUENTIAL_SCANS = 8
"""Of any other: one, or one for each of at most four components."""

# Padding, restarts and a stuffed zero belong to the data between two markers.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd8])")
_SCAN, _END = 0xDA, 0xD9
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))


def check_segments(data: bytes) -> None:
    """Refuse a JPEG that is made to keep a decoder busy.

    Raises:
        BrokenImage: it has more segments or scans than any camera or program writes.
    """
    segments = scans = 0
    max_scans = MAX_SEQUENTIAL_SCANS
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
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
