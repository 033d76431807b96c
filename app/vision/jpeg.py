"""JPEG -> `Raw`: header -> limits -> the DCT scale -> pixels.

A large photo is decoded at 1/2, 1/4 or 1/8 of its size, which the inverse DCT gives for less
work than the whole; both sides stay at least as long as the canvas.

Phones store several pictures in one file (MPO, Ultra HDR): the first, which is the photo, is read.
"""

from io import BytesIO

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from app.errors import BrokenImage
from app.vision.picture import CANVAS, Limits
from app.vision.raw import Raw, check_pixels, reading

MAX_SCANS = 200
"""Each scan of a progressive JPEG goes over all its blocks, and may be a few bytes long: without
a bound a small file can keep the decoder busy for minutes. Encoders write 3 to about 40."""

_START_OF_SCAN = b"\xff\xda"


class _File(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Leave EXIF alone: Pillow warns, and so speaks to our users, where it is broken."""


def read(data: bytes, limits: Limits) -> Raw:
    """Decode a JPEG; the image is L, RGB or CMYK."""
    with reading("jpeg"):
        file = _File(BytesIO(data))
    size = file.size
    check_pixels("jpeg", size, limits.max_pixels)
    if "progressive" in file.info and (scans := data.count(_START_OF_SCAN)) > MAX_SCANS:
        raise BrokenImage(
            f"The JPEG has {scans} scans, more than any camera or program writes; "
            f"the limit is {MAX_SCANS}. Save it anew."
        )
    with reading("jpeg"):
        file.draft(None, (CANVAS, CANVAS))
        file.load()
    image: Image.Image = file
    if file.mode == "CMYK" and "adobe" not in file.info:
        # Adobe's programs store 255 for no ink, and name themselves; Pillow inverts in any case.
        image = ImageChops.invert(file)
    scale = file.decoderconfig[0] if file.decoderconfig else 1
    return Raw(image, size, scale, file.info.get("icc_profile"), file.info.get("exif"))
