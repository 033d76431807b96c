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
from app.vision.formats.jpeg_markers import ScanLayout, check_segments
from app.vision.picture import Limits
from app.vision.work import Work, estimate, raster_bytes

_COEFFICIENT_BYTES = 128
"""Bytes of the coefficients of a block, which are kept if there are several scans."""
_ROW_BUFFERS_BYTES = 64 * 2
"""Bytes for each block in a row of MCUs: its samples, in the buffers of the decoder's steps."""
_ARITHMETIC_FACTOR = 4
"""How much longer arithmetic coding takes than Huffman codes."""


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Skip EXIF: Pillow prints warnings about broken EXIF blocks."""


class OpenedJpeg(OpenedFile):
    """A JPEG whose segments were checked; decoded, it is L, RGB or CMYK."""

    def __init__(self, file: JpegImageFile, layout: ScanLayout, file_bytes: int) -> None:
        self._file = file
        self._size = file.size
        self.work = _estimate(file, layout, file_bytes)

    def load(self) -> DecodedImage:
        """Decode the pixels at the scale that the canvas needs."""
        file = self._file
        del self._file
        with decoder_errors("jpeg", self.work):
            file.draft(None, (CANVAS, CANVAS))
            file.load()
        image: Image.Image = file
        if file.mode == "CMYK" and "adobe" not in file.info:
            # Adobe's programs store 255 for no ink, and write a segment with their name. Pillow
            # always inverts, so the files of others are inverted back.
            image = ImageChops.invert(file)
        scale = file.decoderconfig[0] if file.decoderconfig else 1
        icc, exif = file.info.get("icc_profile"), file.info.get("exif")
        return DecodedImage(image, self._size, scale, icc, exif)


def open_jpeg(data: bytes, limits: Limits) -> OpenedJpeg:
    """Check the segments and read the header of a JPEG."""
    layout = check_segments(data)
    with decoder_errors("jpeg"):
        file = _JpegFile(BytesIO(data))
    check_size("jpeg", file.size, limits)
    return OpenedJpeg(file, layout, len(data))


def _estimate(file: JpegImageFile, layout: ScanLayout, file_bytes: int) -> Work:
    width, height = file.size
    scale = next(s for s in (8, 4, 2, 1) if s == 1 or min(file.size) >= s * CANVAS)
    scaled = -(-width // scale), -(-height // scale)
    components = len(file.layer)
    blocks, columns = _blocks(file)
    in_scans = layout.is_progressive or layout.first_scan_components < components
    is_inverted = file.mode == "CMYK" and "adobe" not in file.info
    load_bytes = (
        raster_bytes(file.mode, scaled) * (1 + is_inverted)
        + in_scans * _COEFFICIENT_BYTES * blocks
        + _ROW_BUFFERS_BYTES * columns
        + file_bytes  # Pillow copies segments
    )
    cost = (
        0.2
        + 2.5e-6 * file_bytes * (_ARITHMETIC_FACTOR if layout.is_arithmetic else 1)
        + 0.11e-6 * width * height
        + 3e-6 * scaled[0] * scaled[1]
    )
    if in_scans:
        visits = blocks * layout.component_scans / components
        cost += 8e-6 * visits + 7e-6 * file_bytes
    may_turn = "exif" in file.info
    return estimate(
        load_bytes=load_bytes, mode=file.mode, size=scaled, may_turn=may_turn, cost=cost
    )


def _blocks(file: JpegImageFile) -> tuple[int, int]:
    """Return the number of 8 x 8 blocks of all components, and of those in one row of MCUs."""
    across = max(horizontal for _, horizontal, _, _ in file.layer)
    down = max(vertical for _, _, vertical, _ in file.layer)
    mcu_columns = -(-file.width // (8 * max(1, across)))
    mcu_rows = -(-file.height // (8 * max(1, down)))
    blocks_in_mcu = sum(horizontal * vertical for _, horizontal, vertical, _ in file.layer)
    return mcu_columns * mcu_rows * blocks_in_mcu, mcu_columns * blocks_in_mcu
