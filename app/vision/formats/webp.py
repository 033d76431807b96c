"""Decode a WebP; of an animation, the first frame.

bytes -> header -> pixel limit -> pixels
"""

import math
from io import BytesIO

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import BrokenImage
from app.vision.formats.base import (
    DecodedImage,
    OpenedFile,
    check_size,
    decoder_errors,
    within_pillow,
)
from app.vision.formats.exif import read_orientation
from app.vision.picture import Limits
from app.vision.work import Work, estimate, raster_bytes

_HEADER_BYTES = 30
_ALPHA_FLAG, _LOSSLESS_ALPHA = 0x10, 0x10
"""Bits that announce alpha: in the flags of a VP8X chunk, and in the last byte of VP8L's sizes."""
_VP8_START = b"\x9d\x01\x2a"
_VP8L_START = b"\x2f"


class OpenedWebp(OpenedFile):
    """A WebP whose size is known; decoded, it is RGB or RGBA."""

    def __init__(self, data: bytes, size: tuple[int, int]) -> None:
        self._data = data
        self._size = size
        self.work = _estimate(data, size)

    def load(self) -> DecodedImage:
        """Decode the pixels."""
        with decoder_errors("webp", self.work):
            file = WebPImageFile(BytesIO(self._data))
            if file.size != self._size:
                raise BrokenImage("The WebP states two different sizes. Save it anew.")
            file.load()
        icc, exif = file.info.get("icc_profile"), file.info.get("exif")
        pixels = Image.Image()._new(file.im)  # without the decoder, which keeps two more images
        orientation = read_orientation(exif)
        return DecodedImage(pixels, self._size, icc=icc, orientation=orientation)


def open_webp(data: bytes, limits: Limits) -> OpenedWebp:
    """Read the size of a WebP."""
    size = _size(data)
    check_size("webp", size, within_pillow(limits))
    return OpenedWebp(data, size)


def _estimate(data: bytes, size: tuple[int, int]) -> Work:
    pixels = math.prod(size)
    mode = "RGBA" if _has_alpha(data) else "RGB"
    entropy_cost = min(17e-6 * len(data), 6e-6 * pixels)
    return estimate(
        # the decoder's two images, the frame's bytes, the image; two copies of the file
        load_bytes=12 * pixels + raster_bytes("RGBA", size) + 2 * len(data),
        mode=mode,
        size=size,
        may_turn=True,
        cost=0.7 + (6 + 4 * (mode == "RGBA")) * 1e-6 * pixels + entropy_cost,
    )


def _has_alpha(data: bytes) -> bool:
    chunk_kind = data[12:16]
    if chunk_kind == b"VP8L":
        return bool(data[24] & _LOSSLESS_ALPHA)
    return chunk_kind == b"VP8X" and bool(data[20] & _ALPHA_FLAG)


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
