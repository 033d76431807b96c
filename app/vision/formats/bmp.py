"""Decode a BMP.

bytes -> compression (UnsupportedFormat if run-length encoded) -> header -> pixel limit -> pixels
"""

import math
from io import BytesIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from app.errors import UnsupportedFormat
from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.picture import Limits
from app.vision.work import Work, estimate, raster_bytes

_COMPRESSION = slice(30, 34)
"""The bytes of the header that hold the compression, little-endian."""
_MIN_HEADER_BYTES = 40
"""The header of 12 bytes, of OS/2, has no field for the compression."""
_RUN_LENGTH_ENCODED = (1, 2)
"""The codes of RLE8 and RLE4."""


class OpenedBmp(OpenedFile):
    """A BMP whose header was read; decoded, it is L, RGB or RGBA."""

    def __init__(self, file: BmpImageFile) -> None:
        self._file = file
        self.work = _estimate(file)

    def load(self) -> DecodedImage:
        """Decode the pixels."""
        file = self._file
        del self._file
        with decoder_errors("bmp", self.work):
            file.load()
            return DecodedImage(_to_8_bits(file), file.size)


def open_bmp(data: bytes, limits: Limits) -> OpenedBmp:
    """Read the header of a BMP."""
    _check_compression(data)
    with decoder_errors("bmp"):
        file = BmpImageFile(BytesIO(data))
    check_size("bmp", file.size, limits)
    return OpenedBmp(file)


def _estimate(file: BmpImageFile) -> Work:
    size, stored = file.size, file.mode
    mode = "RGBA" if stored == "RGBA" else "L" if stored in ("1", "L") else "RGB"
    copy_bytes = raster_bytes("RGB", size) if stored == "RGBA" else raster_bytes(mode, size)
    row_bytes = 4 * size[0]
    load_bytes = raster_bytes(stored, size) + max(4 * row_bytes, copy_bytes * (stored != "RGB"))
    return estimate(
        load_bytes=load_bytes,
        mode=mode,
        size=size,
        may_turn=False,
        cost=0.5 + (6 if stored == "RGBA" else 4) * 1e-6 * math.prod(size),
    )


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
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)
