"""Decode a WebP; of an animation, the first frame.

bytes -> header -> pixel limit -> pixels
"""

import math
from io import BytesIO

from PIL.WebPImagePlugin import WebPImageFile

from app.errors import BrokenImage
from app.vision.canvas import CANVAS
from app.vision.formats.base import (
    DecodedImage,
    OpenedFile,
    check_size,
    decoder_errors,
    within_pillow,
)
from app.vision.picture import Limits
from app.vision.work import Work

_HEADER_BYTES = 30
_VP8_START = b"\x9d\x01\x2a"
_VP8L_START = b"\x2f"


class OpenedWebp(OpenedFile):
    """A WebP whose size is known; decoded, it is RGB or RGBA."""

    def __init__(self, data: bytes, size: tuple[int, int]) -> None:
        self._data = data
        self._size = size
        pixels = math.prod(size)
        self.work = Work(16 * pixels, 3 * pixels / CANVAS**2)

    def load(self) -> DecodedImage:
        """Decode the pixels."""
        with decoder_errors("webp"):
            file = WebPImageFile(BytesIO(self._data))
            if file.size != self._size:
                raise BrokenImage("The WebP states two different sizes. Save it anew.")
            file.load()
        icc, exif = file.info.get("icc_profile"), file.info.get("exif")
        return DecodedImage(file, self._size, icc=icc, exif=exif)


def open_webp(data: bytes, limits: Limits) -> OpenedWebp:
    """Read the size of a WebP."""
    size = _size(data)
    check_size("webp", size, within_pillow(limits))
    return OpenedWebp(data, size)


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
