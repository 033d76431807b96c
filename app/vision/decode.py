"""Decode the bytes of an image file to a `Picture`, in two steps.

    bytes
      |  read_header: size limit -> format -> header -> pixel limits; no pixel is decoded
    OpenedImage, with its `work`: memory and time that the second step takes
      |  OpenedImage.decode
      |    pixels -> upright, by EXIF orientation -> the request's crop, if it has one
      |    large, or not RGB: what the canvas shows is resized to it, then brought to sRGB
      |    else: the image stays as it is; `resize` resizes it to the input in one step
    Picture; one for each view of the photo

A server opens a file, takes `work.memory_bytes` of its memory budget, and decodes. An RGB image of
the canvas's size is never resized: its pixels stay untouched.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from PIL import Image

from app.errors import OutOfMemory, TooManyBytes
from app.memory_budget import MemoryBudget
from app.vision.canvas import (
    CANVAS,
    MAX_UNRESIZED_PIXELS,
    MAX_UNRESIZED_SIDE,
    WHOLE_CANVAS,
    Box,
    Place,
    to_canvas,
)
from app.vision.colour import to_srgb
from app.vision.formats.base import OUT_OF_MEMORY, SEND_SMALLER, OpenedFile
from app.vision.formats.bmp import open_bmp
from app.vision.formats.gif import open_gif
from app.vision.formats.heif.avif import open_avif
from app.vision.formats.heif.heic import open_heic
from app.vision.formats.jpeg import open_jpeg
from app.vision.formats.png import open_png
from app.vision.formats.tiff.reader import open_tiff
from app.vision.formats.webp import open_webp
from app.vision.orientation import turn_upright, upright_size
from app.vision.picture import Format, Limits, Picture
from app.vision.sniff import sniff
from app.vision.view import CENTRE_SQUARE, View
from app.vision.work import Work, of_views

_OFFLINE_BUDGET = MemoryBudget(400_000_000)
"""Bytes for all images that `decode` decodes at the same time."""

_READERS: Mapping[Format, Callable[[bytes, Limits], OpenedFile]] = {
    "jpeg": open_jpeg,
    "png": open_png,
    "webp": open_webp,
    "gif": open_gif,
    "bmp": open_bmp,
    "tiff": open_tiff,
    "avif": open_avif,
    "heic": open_heic,
}


class OpenedImage:
    """A file whose header is within the limits; `read_header` makes it."""

    def __init__(
        self, file: OpenedFile, format: Format, views: Sequence[View] = (CENTRE_SQUARE,)
    ) -> None:
        self._file = file
        self.format: Format = format
        self._views = views

    @property
    def work(self) -> Work:
        """Memory and time that `decode` takes, and the resize after it."""
        return of_views(self._file.work, self._views)

    def decode(self) -> Picture:
        """Decode the photo and return its first view; call it once. Nothing waits for memory here.

        Raises:
            UnsupportedFormat: this variant of the format isn't read.
            BrokenImage: the file is broken or cut short inside; no part of it is returned.
            BadParameter: a crop reaches beyond the photo.
            OutOfMemory: the process has no memory left.
        """
        return next(self.views())

    def views(self) -> Iterator[Picture]:
        """Decode the photo once and yield its views in order; call it once.

        Resize each before the next is made: an image that isn't resized yet takes memory.

        Raises:
            Exception: see `decode`.
        """
        try:
            yield from self._decode()
        except MemoryError as err:
            raise OutOfMemory(OUT_OF_MEMORY) from err

    def _decode(self) -> Iterator[Picture]:
        decoded = self._file.load()
        orientation = decoded.orientation
        size = upright_size(decoded.size, orientation)
        across, down = (side / decoded.scale for side in decoded.size)
        image, icc = decoded.image, decoded.icc
        del decoded  # each step frees the pixels of the step before
        image, whole = turn_upright(image, (0, 0, across, down), orientation)
        for view in self._views:
            yield self._picture(image, whole, size, icc, view)

    def _picture(
        self,
        image: Image.Image,
        whole: Box,
        size: tuple[int, int],
        icc: bytes | None,
        view: View,
    ) -> Picture:
        """Return one view of an upright image, whose photo is its part `whole` and has `size`."""
        crop = view.crop.pixels(*size) if view.crop else None
        if crop:
            # A copy: the filters read beyond a box, and a crop is like a file that was cut before.
            image = image.crop(crop)
            whole = (0, 0, *image.size)
        box, place = view.lay_out(whole)
        if not _stays_unresized(image, box, place):
            image = to_canvas(image, box, place)
            box = (0, 0, *image.size)
        if image.mode != "RGB":
            image, icc = to_srgb(image, icc), None
        region = None if view == CENTRE_SQUARE else view.lay_out(crop or (0, 0, *size))[0]
        return Picture(image, box, icc, self.format, *size, place, region, crop)


def read_header(
    data: bytes, limits: Limits, views: Sequence[View] = (CENTRE_SQUARE,)
) -> OpenedImage:
    """Open a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC file, without decoding any pixel.

    Args:
        data: the whole file.
        limits: the largest file and image that are accepted.
        views: the parts of the photo that are read, at least one.

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
    file = _READERS[format](data, limits)
    if any(view != CENTRE_SQUARE for view in views):
        file.prepare_for(views)
    return OpenedImage(file, format, views)


def reader_of(format: Format) -> Callable[[bytes, Limits], OpenedFile]:
    """Return the reader of a format, which opens a file with all of its pixels."""
    return _READERS[format]


def decode(data: bytes, limits: Limits, view: View = CENTRE_SQUARE) -> Picture:
    """Open and decode a file; wait while others that are decoded so take too much memory.

    For work without a server, whose threads may wait. Arguments and errors are those of
    `read_header` and `OpenedImage.decode`.
    """
    opened = read_header(data, limits, (view,))
    with _OFFLINE_BUDGET.waiting_hold(opened.work.memory_bytes):
        return opened.decode()


def _stays_unresized(image: Image.Image, box: Box, place: Place) -> bool:
    """Return whether `resize` will bring the image to the canvas and on to the input in one step.

    False also for a part that only needs a crop, which `to_canvas` makes without resampling.
    """
    left, top, right, bottom = box
    needs_only_a_crop = (
        (right - left, bottom - top, left % 1, top % 1) == (CANVAS, CANVAS, 0, 0)
    ) and place == WHOLE_CANVAS
    is_small = (
        image.width * image.height <= MAX_UNRESIZED_PIXELS
        and max(right - left, bottom - top) <= MAX_UNRESIZED_SIDE
    )
    return image.mode == "RGB" and is_small and not needs_only_a_crop
