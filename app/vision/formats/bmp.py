"""BMP -> `Raw`: header -> limits -> pixels."""

import math
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from app.vision.decode_budget import BYTES_PER_PIXEL, Turn
from app.vision.formats import rle
from app.vision.formats.base import Raw, check_pixels, reading
from app.vision.picture import Limits


def read(data: bytes, limits: Limits, turn: Turn) -> Raw:
    """Decode a BMP; the image is L, RGB or RGBA."""
    with reading("bmp"):
        file = BmpImageFile(BytesIO(data))
    check_pixels("bmp", file.size, limits.max_pixels)
    turn.take(BYTES_PER_PIXEL * math.prod(file.size))
    with reading("bmp"):
        image = _unpacked(file, data) if file.tile[0].codec_name == "bmp_rle" else file
        image.load()
        return Raw(_plain(image), file.size)


def _unpacked(file: BmpImageFile, data: bytes) -> Image.Image:
    _, _, offset, arguments = file.tile[0]
    assert isinstance(arguments, tuple)
    _, nibbles, direction = arguments  # direction: 1 from the top, -1 from the bottom
    width, height = file.size
    indices = rle.unpack(data[offset:], width, height, nibbles=nibbles)
    if file.mode == "1":  # black and white
        indices = np.where(indices, 255, 0).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(indices[::direction]))
    if file.palette is not None:
        image.putpalette(file.palette)
    return image


def _plain(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        # Many programs announce alpha and leave it zero; nobody sends an invisible picture.
        return image.convert("RGB") if image.getchannel("A").getbbox() is None else image
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
