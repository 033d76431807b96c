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
from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.formats.jpeg_markers import check_segments
from app.vision.picture import Limits
from app.vision.work import Work


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Skip EXIF: Pillow prints warnings about broken EXIF blocks."""


class OpenedJpeg(OpenedFile):
    """A JPEG whose segments were checked; decoded, it is L, RGB or CMYK."""

    def __init__(self, file: JpegImageFile) -> None:
        self._file = file
        self.size = file.size
        self.work = Work(_working_bytes(file), _cost(file))

    def load(self) -> DecodedImage:
        """Decode the pixels at the scale that the canvas needs."""
        file = self._file
        with decoder_errors("jpeg"):
            file.draft(None, (CANVAS, CANVAS))
            file.load()
        image: Image.Image = file
        if file.mode == "CMYK" and "adobe" not in file.info:
            # Adobe's programs store 255 for no ink, and write a segment with their name. Pillow
            # always inverts, so the files of others are inverted back.
            image = ImageChops.invert(file)
        scale = file.decoderconfig[0] if file.decoderconfig else 1
        icc, exif = file.info.get("icc_profile"), file.info.get("exif")
        return DecodedImage(image, self.size, scale, icc, exif)


def open_jpeg(data: bytes, limits: Limits) -> OpenedJpeg:
    """Read the header of a JPEG."""
    check_segments(data)
    with decoder_errors("jpeg"):
        file = _JpegFile(BytesIO(data))
    check_size("jpeg", file.size, limits)
    return OpenedJpeg(file)


def _working_bytes(file: JpegImageFile) -> int:
    """Return the bytes for the scaled pixels and a copy; if progressive, also for coefficients."""
    width, height = file.size
    samples = width * height * len(file.getbands())
    scale = next(s for s in (8, 4, 2, 1) if s == 1 or min(file.size) >= s * CANVAS)
    coefficients = 2 * samples if "progressive" in file.info else 0
    return 2 * samples // scale**2 + coefficients


def _cost(file: JpegImageFile) -> float:
    width, height = file.size
    return width * height / CANVAS**2
