r"""Read the orientation of a photo from its EXIF block.

"Exif\0\0"? -> TIFF header (byte order, place of the first directory) -> tag 0x0112 -> 1..8

Pillow is not used: it parses every tag and warns about broken ones.
"""

import struct

ORIENTATION_TAG = 0x0112
UPRIGHT = 1

_ORIENTATIONS = range(1, 9)

_ENTRY_BYTES = 12
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
"""By TIFF type: how a whole number is packed. EXIF says SHORT (3); programs write others, too."""


def read_orientation(exif: bytes | None) -> int:
    r"""Return the orientation 1..8 that `exif` states; 1 if it is missing or broken."""
    if not exif:
        return UPRIGHT
    try:
        return _read_tag(exif.removeprefix(b"Exif\0\0"))
    except struct.error:
        return UPRIGHT


def _read_tag(tiff: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for entry in range(entries):
        offset = directory + 2 + entry * _ENTRY_BYTES
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, offset)
        if tag == ORIENTATION_TAG:
            if kind not in _INTEGERS or count != 1:
                return UPRIGHT
            value: int = struct.unpack_from(order + _INTEGERS[kind], tiff, offset + 8)[0]
            return value if value in _ORIENTATIONS else UPRIGHT
    return UPRIGHT
