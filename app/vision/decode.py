"""From the bytes of a file to a picture.

bytes -> size limit -> format -> header -> pixel limit -> its turn -> pixels -> upright
      -> large, or not RGB: its centre square, resized to the canvas -> sRGB
      -> else: as it is, since `vision.resize` goes over the canvas and on at once

The first four and the limits cost next to nothing and come before any pixel is decoded. Nothing
is resized where the picture has the canvas's size: its pixels come through untouched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from app.errors import TooManyBytes
from app.vision.colour import to_srgb
from app.vision.decode_budget import BUDGET_BYTES, Budget, Turn
from app.vision.formats import bmp, gif, jpeg, png, webp
from app.vision.formats.base import Raw
from app.vision.formats.exif import orientation
from app.vision.picture import CANVAS, Box, Format, Limits, Picture, to_canvas
from app.vision.sniff import sniff

KEPT_PIXELS = 8 * CANVAS * CANVAS
"""A larger picture is brought to the canvas at once: it would take its memory for longer."""

_BUDGET = Budget(BUDGET_BYTES)

_READERS: Mapping[Format, Callable[[bytes, Limits, Turn], Raw]] = {
    "jpeg": jpeg.read,
    "png": png.read,
    "webp": webp.read,
    "gif": gif.read,
    "bmp": bmp.read,
}


@dataclass(frozen=True)
class _Rotation:
    """What brings a picture upright: width and height swapped first, then mirrored."""

    method: Image.Transpose
    swap: bool
    mirror_x: bool
    mirror_y: bool


_UPRIGHT = {
    2: _Rotation(Image.Transpose.FLIP_LEFT_RIGHT, False, True, False),
    3: _Rotation(Image.Transpose.ROTATE_180, False, True, True),
    4: _Rotation(Image.Transpose.FLIP_TOP_BOTTOM, False, False, True),
    5: _Rotation(Image.Transpose.TRANSPOSE, True, False, False),
    6: _Rotation(Image.Transpose.ROTATE_270, True, True, False),
    7: _Rotation(Image.Transpose.TRANSVERSE, True, True, True),
    8: _Rotation(Image.Transpose.ROTATE_90, True, False, True),
}


def decode(data: bytes, limits: Limits) -> Picture:
    """Decode the bytes of a JPEG, PNG, WebP, GIF or BMP file.

    Args:
        data: the whole file.
        limits: what it may cost.

    Returns:
        The picture, and what the file is.

    Raises:
        TooManyBytes: `data` is longer than the limit.
        NotAnImage: no image format begins like this.
        UnsupportedFormat: a format, or a variant of one, that isn't read.
        TooManyPixels: the header announces more than the limit.
        BrokenImage: the file is broken or cut short inside; no part of it is given.
    """
    if len(data) > limits.max_bytes:
        raise TooManyBytes(
            f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}. "
            f"Send a smaller picture: its shorter side need not be over {CANVAS} pixels."
        )
    format = sniff(data)
    with Turn(_BUDGET) as turn:
        raw = _READERS[format](data, limits, turn)
        rotation = _UPRIGHT.get(orientation(raw.exif))
        image, square = _upright(raw, rotation)
        if not _is_kept(image, square):
            image, square = to_canvas(image, square), (0, 0, CANVAS, CANVAS)
        icc = raw.icc
        if image.mode != "RGB":
            image, icc = to_srgb(image, icc), None
        width, height = raw.size
        if rotation is not None and rotation.swap:
            width, height = height, width
        return Picture(image, square, icc, format, width, height)


def _upright(raw: Raw, rotation: _Rotation | None) -> tuple[Image.Image, Box]:
    """The image and its centre square, turned.

    Before any resize, which rounds between its two directions: so that all eight orientations of a
    picture give the same canvas, to the bit.
    """
    image, square = raw.image, _centre(raw)
    if rotation is None:
        return image, square
    return image.transpose(rotation.method), _turned(square, image.size, rotation)


def _is_kept(image: Image.Image, square: Box) -> bool:
    """Whether the picture goes on as it is."""
    left, top, right, _ = square
    is_mere_crop = (right - left, left % 1, top % 1) == (CANVAS, 0, 0)
    is_small = image.width * image.height <= KEPT_PIXELS
    return image.mode == "RGB" and is_small and not is_mere_crop


def _centre(raw: Raw) -> Box:
    """The centre square in pixels of the image, which may be scaled; fractions are kept."""
    width, height = (side / raw.scale for side in raw.size)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _turned(box: Box, size: tuple[int, int], rotation: _Rotation) -> Box:
    left, top, right, bottom = box
    width, height = size
    if rotation.swap:
        left, top, right, bottom = top, left, bottom, right
        width, height = height, width
    if rotation.mirror_x:
        left, right = width - right, width - left
    if rotation.mirror_y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom
