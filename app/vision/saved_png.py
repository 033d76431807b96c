"""A photo, or a part of it, decoded and saved as a PNG: upright, in sRGB, without metadata."""

from io import BytesIO

from PIL import Image

from app.errors import QueueFull
from app.memory_budget import MemoryBudget
from app.vision.canvas import CANVAS
from app.vision.colour import to_srgb
from app.vision.crop import Crop, Pixels
from app.vision.decode import reader_of
from app.vision.formats.base import OpenedFile
from app.vision.orientation import turn_upright
from app.vision.picture import Format, Limits
from app.vision.sniff import sniff
from app.vision.view import View

_CUT_SIDE = 2 * CANVAS
"""The most pixels of the shorter side of a part that is cut out."""
_PNG_FACTOR = 2
"""The memory of decoding and saving, in that of decoding."""


def cut_out(
    data: bytes, crop: Pixels, limits: Limits, memory: MemoryBudget | None = None
) -> tuple[bytes, Format, tuple[int, int]]:
    """Return a part of a photo as a photo of its own, its format, and its width and height.

    It is a PNG without metadata, and at most 960 pixels high or wide, whichever is less: twice the
    canvas, beyond which no model sees more.

    Args:
        data: a file that was decoded before.
        crop: the part, in pixels of the upright photo.
        limits: the largest file and image that are decoded.
        memory: what decoding takes its bytes from; None: it isn't counted.

    Raises:
        HubelError: the file can't be decoded.
        QueueFull: there is no memory to decode it now.
    """
    left, top, right, bottom = crop
    width, height = right - left, bottom - top
    scale = min(1.0, _CUT_SIDE / min(width, height))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return as_png(data, sniff(data), limits, memory, crop, size), "png", size


def as_png(
    data: bytes,
    format: Format,
    limits: Limits,
    memory: MemoryBudget | None,
    crop: Pixels | None = None,
    size: tuple[int, int] | None = None,
) -> bytes:
    """Decode a photo, turn it upright, and return it, or its part, as a PNG in sRGB."""
    file = reader_of(format)(data, limits)
    if crop is not None:
        file.prepare_for([View(crop=_crop_of(crop))])
    if memory is None:
        return _png_of(file, crop, size)
    needed = _PNG_FACTOR * file.work.memory_bytes
    memory.check_fits(needed, "To keep the photo", "Send it as a JPEG.")
    if not memory.try_take(needed):
        raise QueueFull("There is no memory to keep the photo now. Try again.", retry_after_s=1)
    try:
        return _png_of(file, crop, size)
    finally:
        memory.give_back(needed)


def _crop_of(pixels: Pixels) -> Crop:
    left, top, right, bottom = pixels
    return Crop.parse(f"{left},{top},{right - left},{bottom - top}")


def _png_of(file: OpenedFile, crop: Pixels | None, size: tuple[int, int] | None) -> bytes:
    decoded = file.load()
    icc, orientation, image = decoded.icc, decoded.orientation, decoded.image
    del decoded
    image, _ = turn_upright(image, (0, 0, *image.size), orientation)
    if crop is not None:
        image = image.crop(crop)
    if size is not None and size != image.size:
        image = to_srgb(image, icc).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        icc = None
    png = BytesIO()
    _in_srgb(image, icc).save(png, "png", compress_level=1)
    return png.getvalue()


def _in_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    return image if image.mode in ("L", "LA", "RGBA") and icc is None else to_srgb(image, icc)
