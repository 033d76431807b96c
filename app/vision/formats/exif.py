r"""The orientation of a photo, from its EXIF block.

"Exif\0\0"? -> TIFF header (byte order, place of the first directory) -> tag 0x0112 -> 1..8

Read here and not through Pillow, which parses every tag and warns about broken ones.
"""

import struct

ORIENTATION = 0x0112
UPRIGHT = 1

_ORIENTATIONS = range(1, 9)

_ENTRY_BYTES = 12
_SHORT = 3


def orientation(exif: bytes | None) -> int:
    r"""The orientation 1..8 that `exif` tells; 1 where it is missing or broken."""
    if not exif:
        return UPRIGHT
    try:
        return _find(exif.removeprefix(b"Exif\0\0"))
    except struct.error:
        return UPRIGHT


def _find(tiff: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for entry in range(entries):
        at = directory + 2 + entry * _ENTRY_BYTES
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, at)
        if tag == ORIENTATION:
            (value,) = struct.unpack_from(order + "H", tiff, at + 8)
            usable = kind == _SHORT and count == 1 and value in _ORIENTATIONS
            return value if usable else UPRIGHT
    return UPRIGHT
