"""Decode the bytes of an image file to a `Picture`.

bytes -> size limit -> format -> header -> pixel limit -> a share of the decode budget -> pixels
      -> upright, by EXIF orientation
      -> large, or not RGB: the centre square is resized to the canvas, then brought to sRGB
      -> else: the image stays as it is; `resize` resizes it to the model's input in one step

Everything up to the decode budget is cheap and comes before any pixel is decoded. An
RGB image of the canvas's size is never resized: its pixels stay untouched.
"""

from collections.abc import Callable, Mapping

from PIL import Image

from app.errors import TooManyBytes
from app.vision.canvas import CANVAS, WHOLE_CANVAS, Box, to_canvas
from app.vision.colour import to_srgb
from app.vision.decode_budget import BUDGET_BYTES, Budget, Reservation
from app.vision.formats import bmp, gif, jpeg, png, webp
from app.vision.formats.base import SEND_SMALLER, DecodedImage
from app.vision.formats.exif import read_orientation
from app.vision.orientation import turn_upright, upright_size
from app.vision.picture import Format, Limits, Picture
from app.vision.sniff import sniff

MAX_UNRESIZED_PIXELS = 8 * CANVAS * CANVAS
"""Larger images are resized to the canvas at once: unresized, they would hold memory longer."""

_BUDGET = Budget(BUDGET_BYTES)

_READERS: Mapping[Format, Callable[[bytes, Limits, Reservation], DecodedImage]] = {
    "jpeg": jpeg.read,
    "png": png.read,
    "webp": webp.read,
    "gif": gif.read,
    "bmp": bmp.read,
}


def decode(data: bytes, limits: Limits) -> Picture:
    """Decode the bytes of a JPEG, PNG, WebP, GIF or BMP file.

    Args:
        data: the whole file.
        limits: the largest file and the most pixels that are accepted.

    Returns:
        The decoded photo, with the format and the size of its file.

    Raises:
        TooManyBytes: `data` is longer than the limit.
        NotAnImage: the bytes are in no known image format.
        UnsupportedFormat: the format, or this variant of it, isn't read.
        TooManyPixels: the header announces more pixels than the limit.
        BrokenImage: the file is broken or cut short inside; no part of it is returned.
    """
    if len(data) > limits.max_bytes:
        raise TooManyBytes(
            f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}. {SEND_SMALLER}"
        )
    format = sniff(data)
    with Reservation(_BUDGET) as reservation:
        decoded = _READERS[format](data, limits, reservation)
        orientation = read_orientation(decoded.exif)
        image, square = turn_upright(decoded.image, _centre_square(decoded), orientation)
        if not _stays_unresized(image, square):
            image, square = to_canvas(image, square), WHOLE_CANVAS
        icc = decoded.icc
        if image.mode != "RGB":
            image, icc = to_srgb(image, icc), None
        width, height = upright_size(decoded.size, orientation)
        return Picture(image, square, icc, format, width, height)


def _centre_square(decoded: DecodedImage) -> Box:
    """Return the centre square in pixels of the image, which may be scaled; keep fractions."""
    width, height = (side / decoded.scale for side in decoded.size)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _stays_unresized(image: Image.Image, square: Box) -> bool:
    """Return whether `resize` will bring the image to the canvas and on to the input in one step.

    False also for a square that only needs a crop, which `to_canvas` makes without resampling.
    """
    left, top, right, _ = square
    needs_only_a_crop = (right - left, left % 1, top % 1) == (CANVAS, 0, 0)
    is_small = image.width * image.height <= MAX_UNRESIZED_PIXELS
    return image.mode == "RGB" and is_small and not needs_only_a_crop
