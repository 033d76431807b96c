"""The result of every format's reader, and the checks and error handler that all readers use.

bytes -> a reader's `open`: header, `check_size` (TooManyPixels) -> `OpenedFile`, no pixel decoded
      -> `OpenedFile.load`: pixels, under `decoder_errors` (BrokenImage) -> `DecodedImage`
"""

import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from PIL import Image

from app.errors import BrokenImage, HubelError, OutOfMemory, TooManyPixels, UnsupportedFormat
from app.vision.canvas import CANVAS
from app.vision.formats.exif import UPRIGHT
from app.vision.picture import Format, Limits
from app.vision.sniff import READABLE_FORMATS
from app.vision.view import View
from app.vision.work import Work

FORMAT_NAMES: dict[Format, str] = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "heic": "HEIC",
}

SEND_SMALLER = f"Send a smaller picture: its shorter side need not be over {CANVAS} pixels."
"""The advice of every error about a file that is too large."""

_UNSUPPORTED_REASONS = ("cannot handle", "Unsupported BMP", "Unsupported feature")
"""The beginnings of Pillow's messages about variants that it can't decode."""
_MEMORY_REASON = "out of memory"
"""The beginning of Pillow's message where a decoder could not allocate."""
OUT_OF_MEMORY = "There was no memory left to decode the image. Try again later, or send it smaller."
_MAX_REASON_LENGTH = 120


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """The pixels as the file stores them: not turned, not resized, in the file's colours."""

    image: Image.Image
    """Loaded; of mode L, LA, RGB, RGBA or CMYK (0 is no ink)."""
    size: tuple[int, int]
    """Width and height that the header announces, in pixels."""
    scale: int = 1
    """The image is smaller than `size` by this factor, fractions of a pixel rounded up."""
    icc: bytes | None = None
    """The embedded colour profile."""
    orientation: int = UPRIGHT
    """The EXIF orientation, 1..8."""


class OpenedFile(ABC):
    """A file whose header was read and is within the limits; no pixel is decoded yet."""

    work: Work
    """The memory and time that `load` and the steps after it will take for the centre square."""

    def prepare_for(self, views: Sequence[View]) -> None:  # noqa: B027 - readers may leave it out
        """Decode as many pixels as `views` need, instead of the centre square; call it once.

        A reader that always decodes all pixels has nothing to do.
        """

    @abstractmethod
    def load(self) -> DecodedImage:
        """Decode the pixels; call it once.

        Raises:
            BrokenImage: the file is broken or cut short inside.
            UnsupportedFormat: this variant of the format isn't read.
            OutOfMemory: the process has no memory left.
        """


def check_size(format: Format, size: tuple[int, int], limits: Limits) -> None:
    """Reject an image of `size` (width, height) before it is decoded.

    Raises:
        TooManyPixels: it has more pixels, or a longer side, than the limit.
    """
    width, height = size
    name = FORMAT_NAMES[format]
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The {name} is {width} x {height}, which is {width * height:,} pixels; "
            f"the limit is {limits.max_pixels:,}. {SEND_SMALLER}"
        )
    if max(size) > limits.max_side:
        raise TooManyPixels(
            f"The {name} is {width} x {height}; "
            f"neither side may be over {limits.max_side:,} pixels. {SEND_SMALLER}"
        )


def within_pillow(limits: Limits) -> Limits:
    """Return the limits, with the lower of our pixel limit and Pillow's.

    For plugins that check Pillow's too.
    """
    max_pixels = min(limits.max_pixels, Image.MAX_IMAGE_PIXELS or limits.max_pixels)
    return replace(limits, max_pixels=max_pixels)


@contextmanager
def decoder_errors(format: Format, work: Work | None = None) -> Iterator[None]:
    """Raise an `InputError` in place of every exception of a decoder, or `OutOfMemory`.

    Put only calls of a decoder under it: any exception is reported as a broken image, unless there
    is no memory for `work`. libjpeg and libwebp report both in the same words.

    Raises:
        BrokenImage: the decoder failed.
        UnsupportedFormat: this variant of the format isn't read, such as 12-bit JPEG.
        OutOfMemory: the process has no memory left.
    """
    try:
        yield
    except HubelError:
        raise
    except MemoryError as err:
        raise OutOfMemory(OUT_OF_MEMORY) from err
    except Exception as err:  # Pillow raises nearly every built-in exception on broken files
        reason = str(err).removesuffix(".")
        if reason.startswith(_MEMORY_REASON) or (work and not _can_allocate(work.memory_bytes)):
            raise OutOfMemory(OUT_OF_MEMORY) from err
        if reason.startswith(_UNSUPPORTED_REASONS):
            raise UnsupportedFormat(
                f"This {FORMAT_NAMES[format]} is of a kind that isn't read here ({reason}). "
                f"Save it as an ordinary {READABLE_FORMATS}."
            ) from err
        detail = f" ({reason})" if 0 < len(reason) <= _MAX_REASON_LENGTH else ""
        raise BrokenImage(
            f"The {FORMAT_NAMES[format]} is broken or cut short{detail}. "
            "Send it again, or save it anew."
        ) from err


def _can_allocate(size: int) -> bool:
    """Return whether the process may have `size` bytes more; none of them is used."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, MemoryError):
        return False
    return True
