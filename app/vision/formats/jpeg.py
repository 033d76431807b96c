"""JPEG -> `Raw`: layout -> header -> limits -> the DCT scale -> pixels.

A large photo is decoded at 1/2, 1/4 or 1/8 of its size, which the inverse DCT gives for less
work than the whole; both sides stay at least as long as the canvas.

Phones store several pictures in one file (MPO, Ultra HDR): the first, which is the photo, is read.
"""

from io import BytesIO

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from app.vision.decode_budget import Turn
from app.vision.formats.base import Raw, check_pixels, reading
from app.vision.formats.jpeg_markers import check_segments
from app.vision.picture import CANVAS, Limits


class _File(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Leave EXIF alone: Pillow warns, and so speaks to our users, where it is broken."""


def read(data: bytes, limits: Limits, turn: Turn) -> Raw:
    """Decode a JPEG; the image is L, RGB or CMYK."""
    check_segments(data)
    with reading("jpeg"):
        file = _File(BytesIO(data))
    size = file.size
    check_pixels("jpeg", size, limits.max_pixels)
    turn.take(_working_bytes(file))
    with reading("jpeg"):
        file.draft(None, (CANVAS, CANVAS))
        file.load()
    image: Image.Image = file
    if file.mode == "CMYK" and "adobe" not in file.info:
        # Adobe's programs store 255 for no ink, and name themselves; Pillow inverts in any case.
        image = ImageChops.invert(file)
    scale = file.decoderconfig[0] if file.decoderconfig else 1
    return Raw(image, size, scale, file.info.get("icc_profile"), file.info.get("exif"))


def _working_bytes(file: JpegImageFile) -> int:
    """For the scaled pixels and a copy; where there are several scans, for all coefficients."""
    width, height = file.size
    samples = width * height * len(file.getbands())
    scale = next(s for s in (8, 4, 2, 1) if s == 1 or min(file.size) >= s * CANVAS)
    coefficients = 2 * samples if "progressive" in file.info else 0
    return 2 * samples // scale**2 + coefficients
