"""From the bytes of a file to the canvas.

bytes -> size limit -> format -> header -> pixel limit -> its turn -> pixels -> upright
      -> centre square, resized to 480 x 480 -> sRGB -> (480, 480, 3) uint8

The first four and the limits cost next to nothing and come before any pixel is decoded. Nothing
is resized where the picture has the canvas's size: its pixels come through untouched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from app.errors import TooManyBytes
from app.vision import bmp, gif, jpeg, png, webp
from app.vision.budget import BUDGET_BYTES, Budget, Turn
from app.vision.colour import to_srgb
from app.vision.exif import orientation
from app.vision.picture import CANVAS, Format, Limits, Picture
from app.vision.raw import Raw
from app.vision.sniff import sniff

CANVAS_RESAMPLE = Image.Resampling.BICUBIC
"""Filter of the resize from the picture's centre square to the canvas."""

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

_Box = tuple[float, float, float, float]


def decode(data: bytes, limits: Limits) -> Picture:
    """Decode the bytes of a JPEG, PNG, WebP, GIF or BMP file.

    Args:
        data: the whole file.
        limits: what it may cost.

    Returns:
        The picture's centre square as a canvas, (480, 480, 3) uint8 sRGB, and what the file is.

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
        canvas = to_srgb(_square(raw, rotation), raw.icc)
        width, height = raw.size
        if rotation is not None and rotation.swap:
            width, height = height, width
        return Picture(canvas, format, width, height)


def _square(raw: Raw, rotation: _Rotation | None) -> Image.Image:
    """The upright centre square, resized to the canvas."""
    image, box = raw.image, _centre(raw)
    if rotation is not None:
        # Before the resize, which rounds between its two directions: so that all eight
        # orientations of a picture give the same canvas, to the bit.
        image, box = image.transpose(rotation.method), _turned(box, image.size, rotation)
    if image.size == (CANVAS, CANVAS) and box == (0, 0, CANVAS, CANVAS):
        return image
    return image.resize((CANVAS, CANVAS), CANVAS_RESAMPLE, box)


def _centre(raw: Raw) -> _Box:
    """The centre square in pixels of the image, which may be scaled; fractions are kept."""
    width, height = (side / raw.scale for side in raw.size)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _turned(box: _Box, size: tuple[int, int], rotation: _Rotation) -> _Box:
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
