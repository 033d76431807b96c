"""Check the layout of a JPEG by its markers, before any decoder reads it.

SOI -> segments, each with a length -> scans: a segment and entropy-coded data up to the next marker
    -> EOI; bytes after it (a second image, a video) are ignored

A decoder does some work for every segment and goes over the whole image in every scan, even an
empty one: 200 KB with 20,000 empty scans take a minute and a half.

NumPy searches the markers. A regular expression took a quarter of a large photo's decoding time,
held the interpreter's lock meanwhile, and read a run of 0xFF again from each of its bytes.
"""

from dataclasses import dataclass

import numpy as np

from app.errors import BrokenImage

MAX_SEGMENTS = 4_000
"""Maximum number of segments: tables, comments, profiles, thumbnails.
Photos have 10 to 100, each of up to 64 KB."""

MAX_SCANS = 200
"""Maximum number of scans of a progressive JPEG; encoders write 3 to about 40."""

MAX_SEQUENTIAL_SCANS = 8
"""Maximum number of scans of any other JPEG: one, or one for each of at most four components."""

_MARKER_START, _SCAN, _END, _RESTART_INTERVAL = 0xFF, 0xDA, 0xD9, 0xDD
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_ARITHMETIC = frozenset((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
_FIRST_BLOCK_BYTES, _LAST_BLOCK_BYTES = 64, 1 << 20
"""Bytes that are searched at once: few at first, since the next marker may be near."""

_IS_MARKER = np.ones(256, np.bool_)
"""By byte value: whether 0xFF and this byte form a marker that ends entropy-coded data. Padding,
restarts and a stuffed zero belong to that data."""
_IS_MARKER[[0x00, 0x01, *range(0xD0, 0xD9), 0xFF]] = False


@dataclass(slots=True)
class ScanLayout:
    """How the pixels of a JPEG are spread over scans."""

    first_scan_components: int = 0
    """Components in the first scan; 0 if there is no scan."""
    component_scans: int = 0
    """The sum, over all scans, of their components."""
    is_progressive: bool = False
    is_arithmetic: bool = False
    """Arithmetic coding, which takes several times as long as Huffman codes."""
    has_restarts: bool = False
    has_end: bool = False
    """Whether the end marker is there."""


def check_segments(data: bytes) -> ScanLayout:
    """Return the layout of a JPEG; reject one that would keep a decoder busy for too long.

    Raises:
        BrokenImage: it has more segments or scans than any camera or program writes.
    """
    layout = ScanLayout()
    segments = scans = 0
    max_scans = MAX_SEQUENTIAL_SCANS
    offset = 2
    while (start := _next_marker(data, offset)) is not None:
        marker, offset = data[start + 1], start + 2
        if marker == _END:
            layout.has_end = True
            return layout
        segments += 1
        if marker == _SCAN:
            scans += 1
            components = data[offset + 2] if offset + 2 < len(data) else 0
            layout.first_scan_components = layout.first_scan_components or components
            layout.component_scans += components
        if marker in _PROGRESSIVE:
            max_scans = MAX_SCANS
            layout.is_progressive = True
        if marker == _RESTART_INTERVAL:
            layout.has_restarts = True
        if marker in _ARITHMETIC:
            layout.is_arithmetic = True
        if segments > MAX_SEGMENTS or scans > max_scans:
            raise BrokenImage(
                f"The JPEG has more than {MAX_SEGMENTS} segments or {max_scans} scans, more than "
                "any camera or program writes. Save it anew."
            )
        offset += max(2, int.from_bytes(data[offset : offset + 2], "big"))
    return layout


def _next_marker(data: bytes, offset: int) -> int | None:
    """Return the offset of the first marker at or after `offset`; None if there is none."""
    if offset + 1 < len(data) and data[offset] == _MARKER_START and _IS_MARKER[data[offset + 1]]:
        return offset  # segments usually follow each other without a gap
    size = _FIRST_BLOCK_BYTES
    while (end := min(offset + size, len(data) - 1)) > offset:
        block = np.frombuffer(data, np.uint8, end - offset + 1, offset)
        starts = np.flatnonzero(block[:-1] == _MARKER_START)
        markers = starts[_IS_MARKER[block[starts + 1]]]
        if markers.size:
            return offset + int(markers[0])
        offset, size = end, min(8 * size, _LAST_BLOCK_BYTES)
    return None
