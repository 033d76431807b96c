"""WebP -> `Raw`: header -> limits -> pixels, of the first frame where there are several."""

import math
from io import BytesIO

from PIL.WebPImagePlugin import WebPImageFile

from app.errors import BrokenImage
from app.vision.decode_budget import BYTES_PER_PIXEL, Turn
from app.vision.formats.base import Raw, check_pixels, pillow_limit, reading
from app.vision.picture import Limits

_HEADER_BYTES = 30
_VP8_START = b"\x9d\x01\x2a"
_VP8L_START = b"\x2f"


def read(data: bytes, limits: Limits, turn: Turn) -> Raw:
    """Decode a WebP; the image is RGB or RGBA."""
    size = _size(data)
    check_pixels("webp", size, pillow_limit(limits))
    turn.take(BYTES_PER_PIXEL * math.prod(size))
    with reading("webp"):
        file = WebPImageFile(BytesIO(data))
        if file.size != size:
            raise BrokenImage("The WebP tells two sizes. Save it anew.")
        file.load()
    return Raw(file, size, icc=file.info.get("icc_profile"), exif=file.info.get("exif"))


def _size(data: bytes) -> tuple[int, int]:
    """Width and height in the header: opening the file already allocates the whole picture."""
    kind = data[12:16]
    if len(data) >= _HEADER_BYTES:
        if kind == b"VP8 " and data[23:26] == _VP8_START:
            return _number(data[26:28]) & 0x3FFF, _number(data[28:30]) & 0x3FFF
        if kind == b"VP8L" and data[20:21] == _VP8L_START:
            bits = _number(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8X":
            return _number(data[24:27]) + 1, _number(data[27:30]) + 1
    raise BrokenImage("The WebP is broken in its header. Send it again, or save it anew.")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
