"""Decode a JPEG, scaled down where it is large.

bytes -> segments (`jpeg_markers`) -> header -> pixel limit -> scale of the DCT -> pixels

A large photo is decoded at 1/2, 1/4 or 1/8 of its size: the inverse DCT takes less work for it.
Both sides stay at least as long as the canvas.

Phones store several images in one file (MPO, Ultra HDR). The first, which is the photo, is read.
"""

from io import BytesIO

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from app.vision.canvas import CANVAS
from app.vision.decode_budget import Reservation
from app.vision.formats.base import DecodedImage, check_pixels, decoder_errors
from app.vision.formats.jpeg_markers import check_segments
from app.vision.picture import Limits


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Skip EXIF: Pillow prints warnings about broken EXIF blocks."""


def read(data: bytes, limits: Limits, reservation: Reservation) -> DecodedImage:
    """Decode a JPEG; the image is L, RGB or CMYK."""
    check_segments(data)
    with decoder_errors("jpeg"):
        file = _JpegFile(BytesIO(data))
    size = file.size
    check_pixels("jpeg", size, limits.max_pixels)
    reservation.take(_working_bytes(file))
    with decoder_errors("jpeg"):
        file.draft(None, (CANVAS, CANVAS))
        file.load()
    image: Image.Image = file
    if file.mode == "CMYK" and "adobe" not in file.info:
        # Adobe's programs store 255 for no ink, and write a segment with their name. Pillow always
        # inverts, so the files of others are inverted back.
        image = ImageChops.invert(file)
    scale = file.decoderconfig[0] if file.decoderconfig else 1
    return DecodedImage(image, size, scale, file.info.get("icc_profile"), file.info.get("exif"))


def _working_bytes(file: JpegImageFile) -> int:
    """Return the bytes for the scaled pixels and a copy; if progressive, also for coefficients."""
    width, height = file.size
    samples = width * height * len(file.getbands())
    scale = next(s for s in (8, 4, 2, 1) if s == 1 or min(file.size) >= s * CANVAS)
    coefficients = 2 * samples if "progressive" in file.info else 0
    return 2 * samples // scale**2 + coefficients
