"""Decode an AVIF; of a sequence, its still picture.

bytes -> items (`items`) -> the frames that AV1 announces (`av1`) -> pixel limits
      -> libavif: colours and alpha, of 8 bits

Pillow's decoder is called directly: its plugin starts a thread for each core, while the service
decodes several photos at once. EXIF does not turn an AVIF; its properties irot and imir do.
"""

import math
from typing import Any

from PIL import Image, _avif

from app.errors import UnsupportedFormat
from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.formats.heif.av1 import read_av1
from app.vision.formats.heif.coded_picture import CodedPicture, all_pixels, decoder_bytes
from app.vision.formats.heif.items import read_items
from app.vision.picture import Limits
from app.vision.sniff import READABLE_FORMATS
from app.vision.work import Work, estimate, raster_bytes

_SEQUENCE_BRAND, _STILL_BRAND = b"avis", b"avif"
_DECODER_BYTES_PER_PIXEL = 2
"""Memory of dav1d beside the planes: motion vectors, filter levels, a row of blocks."""


class OpenedAvif(OpenedFile):
    """An AVIF whose boxes were read; decoded, it is RGB or RGBA."""

    def __init__(self, decoder: Any, pictures: list[CodedPicture], file_bytes: int) -> None:
        width, height, _, self._mode, self._icc, _, self._orientation, _ = _info(decoder)
        self._size = width, height
        self._decoder = decoder
        self.work = _estimate(self._size, self._mode, pictures, file_bytes)

    def load(self) -> DecodedImage:
        """Decode the pixels of the still picture."""
        decoder = self._decoder
        del self._decoder
        with decoder_errors("avif", self.work):
            pixels = decoder.get_frame(0)[0]
            del decoder
            image = Image.frombytes(self._mode, self._size, pixels)
        return DecodedImage(image, self._size, icc=self._icc, orientation=self._orientation)


def open_avif(data: bytes, limits: Limits) -> OpenedAvif:
    """Read the boxes of an AVIF, and the sequence headers of its pictures."""
    items = read_items(data, "AVIF")
    pictures = [read_av1(item.content) for item in items.by_id.values() if item.kind == "av01"]
    if not pictures or items.by_id[items.primary].kind not in ("av01", "grid"):
        raise UnsupportedFormat(
            "This AVIF is of a kind that isn't read here: its main picture is no AV1 picture or "
            f"grid of them. Save it as an ordinary AVIF, or as {READABLE_FORMATS}."
        )
    for picture in pictures:
        check_size("avif", picture.size, limits)
    check_size("avif", items.by_id[items.primary].size or (1, 1), limits)
    with decoder_errors("avif"):
        decoder = _avif.AvifDecoder(_as_still(data), "auto", 1)
        check_size("avif", _info(decoder)[:2], limits)
    return OpenedAvif(decoder, pictures, len(data))


def _info(decoder: Any) -> tuple[int, int, int, str, bytes | None, bytes | None, int, bytes | None]:
    """Return width, height, frames, mode, colour profile, EXIF, orientation and XMP."""
    (width, height), frames, mode, icc, exif, orientation, xmp = decoder.get_info()
    return width, height, frames, mode, icc, exif, orientation, xmp


def _as_still(data: bytes) -> bytes:
    """Return the file without the brand of a sequence: libavif then reads the still picture."""
    end = int.from_bytes(data[:4], "big")
    if _SEQUENCE_BRAND not in data[8:end]:
        return data
    return data[:8] + data[8:end].replace(_SEQUENCE_BRAND, _STILL_BRAND) + data[end:]


def _estimate(
    size: tuple[int, int], mode: str, pictures: list[CodedPicture], file_bytes: int
) -> Work:
    pixels = math.prod(size)
    coded_bytes = decoder_bytes(pictures, _DECODER_BYTES_PER_PIXEL)
    grid_bytes = 0
    if len(pictures) > 1:
        grid_bytes = pixels * math.ceil(max(each.bytes_per_pixel for each in pictures))
    pixels_bytes = len(mode) * pixels
    converting_bytes = pixels_bytes + max(pixels_bytes, raster_bytes(mode, size))
    return estimate(
        load_bytes=coded_bytes + grid_bytes + converting_bytes + file_bytes,
        mode=mode,
        size=size,
        may_turn=True,
        cost=1 + 12e-6 * all_pixels(pictures) + 4e-6 * pixels + 15e-6 * file_bytes,
    )
