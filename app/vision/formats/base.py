"""What every reader of a format hands on, and the two gates it goes through.

header -> `check_pixels` (TooManyPixels) -> pixels, under `reading` (BrokenImage) -> `Raw`
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from app.errors import BrokenImage, HubelError, TooManyPixels, UnsupportedFormat
from app.vision.picture import Format, Limits
from app.vision.sniff import READ

NAMES: dict[Format, str] = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "gif": "GIF",
    "bmp": "BMP",
}

_NOT_READ = ("cannot handle", "Unsupported BMP")
_LONGEST_REASON = 120


@dataclass(frozen=True, eq=False)
class Raw:
    """Decoded pixels as the file stores them: not turned, not resized, in the file's colours."""

    image: Image.Image
    """Loaded; of mode L, LA, RGB, RGBA or CMYK (0 is no ink)."""
    size: tuple[int, int]
    """Width and height that the header announces, in pixels."""
    scale: int = 1
    """The image is smaller than `size` by this factor, fractions of a pixel rounded up."""
    icc: bytes | None = None
    exif: bytes | None = None


def check_pixels(format: Format, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse a picture of `size` (width, height) before it is decoded.

    Raises:
        TooManyPixels: it has more than `max_pixels`.
    """
    width, height = size
    if width * height > max_pixels:
        raise TooManyPixels(
            f"The {NAMES[format]} is {width} x {height}, which is {width * height:,} pixels; "
            f"the limit is {max_pixels:,}. Send a smaller picture: "
            "its shorter side need not be over 480 pixels."
        )


def pillow_limit(limits: Limits) -> int:
    """The most pixels that may be asked of a plugin which checks Pillow's own limit, too."""
    return min(limits.max_pixels, Image.MAX_IMAGE_PIXELS or limits.max_pixels)


@contextmanager
def reading(format: Format) -> Iterator[None]:
    """Turn whatever a decoder raises into one of our errors.

    Only calls into a decoder belong under it: any exception becomes the client's fault.

    Raises:
        BrokenImage: nearly always.
        UnsupportedFormat: a variant of the format that isn't read, such as 12-bit JPEG.
    """
    try:
        yield
    except HubelError:
        raise
    except Exception as err:  # Pillow raises nearly every built-in exception on broken files
        reason = str(err).removesuffix(".")
        if reason.startswith(_NOT_READ):
            raise UnsupportedFormat(
                f"This {NAMES[format]} is of a kind that isn't read here ({reason}). "
                f"Save it as an ordinary {READ}."
            ) from err
        told = f" ({reason})" if 0 < len(reason) <= _LONGEST_REASON else ""
        raise BrokenImage(
            f"The {NAMES[format]} is broken or cut short{told}. Send it again, or save it anew."
        ) from err
