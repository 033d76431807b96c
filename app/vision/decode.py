"""Decode the bytes of an image file to a `Picture`, in two steps.

    bytes
      |  read_header: size limit -> format -> header -> pixel limits; no pixel is decoded
    OpenedImage, with its `work`: memory and time that the second step takes
      |  OpenedImage.decode
      |    pixels -> upright, by EXIF orientation
      |    large, or not RGB: the centre square is resized to the canvas, then brought to sRGB
      |    else: the image stays as it is; `resize` resizes it to the input in one step
    Picture

A server opens a file, takes `work.memory_bytes` of its memory budget, and decodes. An RGB image of
the canvas's size is never resized: its pixels stay untouched.
"""

from collections.abc import Callable, Mapping

from PIL import Image

from app.errors import OutOfMemory, TooManyBytes
from app.memory_budget import MemoryBudget
from app.vision.canvas import CANVAS, MAX_UNRESIZED_PIXELS, WHOLE_CANVAS, Box, to_canvas
from app.vision.colour import to_srgb
from app.vision.formats.base import OUT_OF_MEMORY, SEND_SMALLER, DecodedImage, OpenedFile
from app.vision.formats.bmp import open_bmp
from app.vision.formats.exif import read_orientation
from app.vision.formats.gif import open_gif
from app.vision.formats.jpeg import open_jpeg
from app.vision.formats.png import open_png
from app.vision.formats.webp import open_webp
from app.vision.orientation import turn_upright, upright_size
from app.vision.picture import Format, Limits, Picture
from app.vision.sniff import sniff
from app.vision.work import Work

_OFFLINE_BUDGET = MemoryBudget(400_000_000)
"""Bytes for all images that `decode` decodes at the same time."""

_READERS: Mapping[Format, Callable[[bytes, Limits], OpenedFile]] = {
    "jpeg": open_jpeg,
    "png": open_png,
    "webp": open_webp,
    "gif": open_gif,
    "bmp": open_bmp,
}


class OpenedImage:
    """A file whose header is within the limits; `read_header` makes it."""

    def __init__(self, file: OpenedFile, format: Format) -> None:
        self._file = file
        self.format: Format = format

    @property
    def work(self) -> Work:
        """Memory and time that `decode` takes, and the resize after it."""
        return self._file.work

    def decode(self) -> Picture:
        """Decode the photo; call it once. Nothing waits for memory here.

        Raises:
            UnsupportedFormat: this variant of the format isn't read.
            BrokenImage: the file is broken or cut short inside; no part of it is returned.
            OutOfMemory: the process has no memory left.
        """
        try:
            return self._decode()
        except MemoryError as err:
            raise OutOfMemory(OUT_OF_MEMORY) from err

    def _decode(self) -> Picture:
        decoded = self._file.load()
        orientation = read_orientation(decoded.exif)
        width, height = upright_size(decoded.size, orientation)
        image, square, icc = decoded.image, _centre_square(decoded), decoded.icc
        del decoded  # each step frees the pixels of the step before
        image, square = turn_upright(image, square, orientation)
        if not _stays_unresized(image, square):
            image, square = to_canvas(image, square), WHOLE_CANVAS
        if image.mode != "RGB":
            image, icc = to_srgb(image, icc), None
        return Picture(image, square, icc, self.format, width, height)


def read_header(data: bytes, limits: Limits) -> OpenedImage:
    """Open a JPEG, PNG, WebP, GIF or BMP file, without decoding any pixel.

    Args:
        data: the whole file.
        limits: the largest file and image that are accepted.

    Raises:
        TooManyBytes: `data` is longer than the limit.
        NotAnImage: the bytes are in no known image format.
        UnsupportedFormat: the format, or this variant of it, isn't read.
        TooManyPixels: the header announces more pixels, or a longer side, than the limit.
        BrokenImage: the header is broken.
        OutOfMemory: the process has no memory left.
    """
    if len(data) > limits.max_bytes:
        raise TooManyBytes(
            f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}. {SEND_SMALLER}"
        )
    format = sniff(data)
    return OpenedImage(_READERS[format](data, limits), format)


def decode(data: bytes, limits: Limits) -> Picture:
    """Open and decode a file; wait while others that are decoded so take too much memory.

    For work without a server, whose threads may wait. Arguments and errors are those of
    `read_header` and `OpenedImage.decode`.
    """
    opened = read_header(data, limits)
    with _OFFLINE_BUDGET.waiting_hold(opened.work.memory_bytes):
        return opened.decode()


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
