"""Decode a HEIC; of a sequence, its still picture. It needs pillow-heif, the extra `heif`.

bytes -> items (`items`) -> the pictures that HEVC announces (`hevc`) -> pixel limits
      -> libheif: colours and alpha, turned and cropped as its properties say -> 8 bits, rounded

EXIF does not turn a HEIC; its properties irot and imir do, and libheif applies them.
"""

import math
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from app.errors import UnsupportedFormat
from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.formats.heif.coded_picture import CodedPicture, all_pixels, decoder_bytes
from app.vision.formats.heif.hevc import read_hevc
from app.vision.formats.heif.items import read_items, without_tracks
from app.vision.formats.sixteen_bits import block_rows
from app.vision.picture import Limits
from app.vision.sniff import READABLE_FORMATS
from app.vision.work import Work, estimate, raster_bytes

_CODED, _DERIVED = "hvc1", ("grid", "iden")
_DECODER_BYTES_PER_PIXEL = 3
"""Memory of libde265 beside the planes of a picture: modes, motion, filters."""
_HALF = 8


class OpenedHeic(OpenedFile):
    """A HEIC whose boxes were read; decoded, it is L, LA, RGB or RGBA."""

    def __init__(self, image: Any, pictures: list[CodedPicture], file_bytes: int) -> None:
        self._image = image
        name, _, bits = image.mode.partition(";")
        self._mode = name.replace("I", "L")
        self._bits = int(bits or _HALF)
        self.work = _estimate(image.size, self._mode, self._bits, pictures, file_bytes)

    def load(self) -> DecodedImage:
        """Decode the pixels of the still picture."""
        image, mode = self._image, self._mode
        del self._image
        icc = image.info.get("icc_profile")
        with decoder_errors("heic", self.work):
            if self._bits == _HALF:
                decoded = Image.frombytes(mode, image.size, image.data)
                if mode.endswith("a"):
                    decoded = decoded.convert(mode[:-1] + "A")
            else:
                decoded = _to_8_bits(image.data, mode, image.size, self._bits)
        return DecodedImage(decoded, image.size, icc=icc)


def open_heic(data: bytes, limits: Limits) -> OpenedHeic:
    """Read the boxes of a HEIC, and the parameter sets of its pictures."""
    libheif = _libheif()
    if libheif is None:
        raise UnsupportedFormat(
            "This is HEIC, which this installation doesn't read, since it lacks pillow-heif. "
            f"Convert it to {READABLE_FORMATS}, or have pillow-heif installed."
        )
    items = read_items(data, "HEIC")
    primary = items.by_id[items.primary]
    pictures = [
        read_hevc(item.first("hvcC") or b"", item.content)
        for item in items.by_id.values()
        if item.kind == _CODED
    ]
    if not pictures or primary.kind not in (_CODED, *_DERIVED):
        raise UnsupportedFormat(
            "This HEIC is of a kind that isn't read here: its main picture is no HEVC picture or "
            f"grid of them. Convert it to {READABLE_FORMATS}."
        )
    for size in (*(picture.size for picture in pictures), primary.size or (1, 1)):
        check_size("heic", size, limits)
    with decoder_errors("heic"):
        file = libheif.open_heif(
            without_tracks(data), convert_hdr_to_8bit=False, hdr_to_16bit=False
        )
        image = file[file.primary_index]
        check_size("heic", image.size, limits)
    return OpenedHeic(image, pictures, len(data))


@cache
def _libheif() -> ModuleType | None:
    """Return pillow-heif, which decodes with one thread for each photo; None without it."""
    try:
        import pillow_heif
    except ImportError:
        return None
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    module: ModuleType = pillow_heif
    return module


def _to_8_bits(data: Any, mode: str, size: tuple[int, int], bits: int) -> Image.Image:
    """Return an image of 8 bits of samples of more bits, in 16 each."""
    width, height = size
    samples = np.frombuffer(data, "<u2").reshape(height, width, len(mode))
    result_mode = mode.replace("a", "A")
    image = Image.new(result_mode, size)
    step = block_rows(width)
    for top in range(0, height, step):
        block = samples[top : top + step].astype(np.float32) * np.float32(255 / ((1 << bits) - 1))
        if mode.endswith("a"):
            shares = np.maximum(block[..., -1:], 1e-3)
            block[..., :-1] = np.minimum(block[..., :-1] * 255 / shares, 255)
        levels = (block + np.float32(0.5)).astype(np.uint8)
        rows = Image.frombytes(result_mode, (width, len(levels)), levels.tobytes())
        image.paste(rows, (0, top))
    return image


def _estimate(
    size: tuple[int, int], mode: str, bits: int, pictures: list[CodedPicture], file_bytes: int
) -> Work:
    pixels = math.prod(size)
    planes_bytes = pixels * math.ceil(max(each.bytes_per_pixel for each in pictures))
    samples_bytes = len(mode) * pixels * (1 if bits == _HALF else 2)
    image_mode = mode.replace("a", "A")
    image_bytes = raster_bytes(image_mode, size) * (1 + mode.endswith("a"))
    block_bytes = 0 if bits == _HALF else 12 * len(mode) * size[0] * block_rows(size[0])
    decoding_bytes = decoder_bytes(pictures, _DECODER_BYTES_PER_PIXEL) + 2 * planes_bytes
    return estimate(
        load_bytes=decoding_bytes + 2 * samples_bytes + image_bytes + block_bytes + 2 * file_bytes,
        mode=image_mode,
        size=size,
        may_turn=False,
        cost=1 + 8e-6 * all_pixels(pictures) + 2e-6 * pixels + 60e-6 * file_bytes,
    )
