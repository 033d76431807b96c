"""Decode a BMP.

bytes -> compression (UnsupportedFormat if run-length encoded) -> header -> pixel limit -> pixels
"""

import math
from io import BytesIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from app.errors import UnsupportedFormat
from app.vision.decode_budget import BYTES_PER_PIXEL, Reservation
from app.vision.formats.base import DecodedImage, check_pixels, decoder_errors
from app.vision.picture import Limits

_COMPRESSION = slice(30, 34)
"""The bytes of the header that hold the compression, little-endian."""
_MIN_HEADER_BYTES = 40
"""The header of 12 bytes, of OS/2, has no field for the compression."""
_RUN_LENGTH_ENCODED = (1, 2)
"""The codes of RLE8 and RLE4."""


def read(data: bytes, limits: Limits, reservation: Reservation) -> DecodedImage:
    """Decode a BMP; the image is L, RGB or RGBA."""
    _check_compression(data)
    with decoder_errors("bmp"):
        file = BmpImageFile(BytesIO(data))
    check_pixels("bmp", file.size, limits.max_pixels)
    reservation.take(BYTES_PER_PIXEL * math.prod(file.size))
    with decoder_errors("bmp"):
        file.load()
        return DecodedImage(_to_8_bits(file), file.size)


def _check_compression(data: bytes) -> None:
    # Pillow fills run-length encoded rows pixel by pixel in Python: 28 KB that announce 49 million
    # pixels hold the interpreter's lock for five seconds.
    header_bytes = int.from_bytes(data[14:18], "little")
    compression = int.from_bytes(data[_COMPRESSION], "little")
    if header_bytes >= _MIN_HEADER_BYTES and compression in _RUN_LENGTH_ENCODED:
        raise UnsupportedFormat(
            "This BMP is run-length encoded, which is not read. "
            "Save it without compression, or as PNG."
        )


def _to_8_bits(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        # Many programs announce alpha and leave it zero; an invisible image is never meant.
        return image.convert("RGB") if image.getchannel("A").getbbox() is None else image
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
