"""Decode a WebP; of an animation, the first frame.

bytes -> header -> pixel limit -> pixels
"""

import math
from io import BytesIO

from PIL.WebPImagePlugin import WebPImageFile

from app.errors import BrokenImage
from app.vision.decode_budget import BYTES_PER_PIXEL, Reservation
from app.vision.formats.base import DecodedImage, check_pixels, decoder_errors, pillow_limit
from app.vision.picture import Limits

_HEADER_BYTES = 30
_VP8_START = b"\x9d\x01\x2a"
_VP8L_START = b"\x2f"


def read(data: bytes, limits: Limits, reservation: Reservation) -> DecodedImage:
    """Decode a WebP; the image is RGB or RGBA."""
    size = _size(data)
    check_pixels("webp", size, pillow_limit(limits))
    reservation.take(BYTES_PER_PIXEL * math.prod(size))
    with decoder_errors("webp"):
        file = WebPImageFile(BytesIO(data))
        if file.size != size:
            raise BrokenImage("The WebP states two different sizes. Save it anew.")
        file.load()
    return DecodedImage(file, size, icc=file.info.get("icc_profile"), exif=file.info.get("exif"))


def _size(data: bytes) -> tuple[int, int]:
    """Return width and height of the header.

    Pillow is not used: it allocates the whole image when it opens the file.
    """
    chunk_kind = data[12:16]
    if len(data) >= _HEADER_BYTES:
        if chunk_kind == b"VP8 " and data[23:26] == _VP8_START:
            return _little_endian(data[26:28]) & 0x3FFF, _little_endian(data[28:30]) & 0x3FFF
        if chunk_kind == b"VP8L" and data[20:21] == _VP8L_START:
            bits = _little_endian(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if chunk_kind == b"VP8X":
            return _little_endian(data[24:27]) + 1, _little_endian(data[27:30]) + 1
    raise BrokenImage("The WebP is broken in its header. Send it again, or save it anew.")


def _little_endian(data: bytes) -> int:
    return int.from_bytes(data, "little")
