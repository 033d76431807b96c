"""The result of every format's reader, and the pixel check and error handler that all readers use.

header -> `check_pixels` (TooManyPixels) -> pixels, under `decoder_errors` (BrokenImage)
       -> `DecodedImage`
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from app.errors import BrokenImage, HubelError, TooManyPixels, UnsupportedFormat
from app.vision.canvas import CANVAS
from app.vision.picture import Format, Limits
from app.vision.sniff import READABLE_FORMATS

FORMAT_NAMES: dict[Format, str] = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "gif": "GIF",
    "bmp": "BMP",
}

SEND_SMALLER = f"Send a smaller picture: its shorter side need not be over {CANVAS} pixels."
"""The advice of every error about a file that is too large."""

_UNSUPPORTED_REASONS = ("cannot handle", "Unsupported BMP")
"""The beginnings of Pillow's messages about variants that it can't decode."""
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
    exif: bytes | None = None
    """The EXIF block, with or without its prefix."""


def check_pixels(format: Format, size: tuple[int, int], max_pixels: int) -> None:
    """Reject an image of `size` (width, height) before it is decoded.

    Raises:
        TooManyPixels: it has more than `max_pixels`.
    """
    width, height = size
    if width * height > max_pixels:
        raise TooManyPixels(
            f"The {FORMAT_NAMES[format]} is {width} x {height}, "
            f"which is {width * height:,} pixels; "
            f"the limit is {max_pixels:,}. {SEND_SMALLER}"
        )


def pillow_limit(limits: Limits) -> int:
    """Return the lower of our pixel limit and Pillow's, for plugins that check Pillow's too."""
    return min(limits.max_pixels, Image.MAX_IMAGE_PIXELS or limits.max_pixels)


@contextmanager
def decoder_errors(format: Format) -> Iterator[None]:
    """Raise an `InputError` in place of every exception of a decoder.

    Put only calls of a decoder under it: any exception is reported as a broken image.

    Raises:
        BrokenImage: the decoder failed.
        UnsupportedFormat: this variant of the format isn't read, such as 12-bit JPEG.
    """
    try:
        yield
    except HubelError:
        raise
    except Exception as err:  # Pillow raises nearly every built-in exception on broken files
        reason = str(err).removesuffix(".")
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
