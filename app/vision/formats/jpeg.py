"""Decode a JPEG, scaled down where it is large.

bytes -> segments (`jpeg_markers`) -> header -> pixel limit -> scale of the DCT -> pixels

A large photo is decoded at 1/2, 1/4 or 1/8 of its size: the inverse DCT takes less work for it.
What the canvas shows keeps at least as many pixels as it has there. A photo of which a request
selects a part is decoded whole, so that the part equals a file that was cut before.

If only the end marker is missing, the pixels are all there, and the JPEG is decoded
(`_is_complete`). If pixels are missing, it is broken.

Phones store several images in one file (MPO, Ultra HDR). The first, which is the photo, is read.
"""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.formats.exif import read_orientation
from app.vision.formats.jpeg_markers import ScanLayout, check_segments
from app.vision.orientation import upright_size
from app.vision.picture import Limits
from app.vision.view import CENTRE_SQUARE, View
from app.vision.work import Work, estimate, raster_bytes

_COEFFICIENT_BYTES = 128
"""Bytes of the coefficients of a block, which are kept if there are several scans."""
_ROW_BUFFERS_BYTES = 64 * 2
"""Bytes for each block in a row of MCUs: its samples, in the buffers of the decoder's steps."""
_END = b"\xff\xd9"
_FILLERS = (b"\xff\x00" * 64, b"\x55" * 64)
"""Bytes that continue entropy-coded data: ones, and ones and zeros in turn."""
_SCALES = (8, 4, 2, 1)
"""The divisors of a photo's sides that libjpeg decodes at."""
_ARITHMETIC_FACTOR = 4
"""How much longer arithmetic coding takes than Huffman codes."""


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Skip EXIF: Pillow prints warnings about broken EXIF blocks."""


class OpenedJpeg(OpenedFile):
    """A JPEG whose segments were checked; decoded, it is L, RGB or CMYK."""

    def __init__(self, file: JpegImageFile, layout: ScanLayout, data: bytes) -> None:
        self._file = file
        self._size = file.size
        self._layout, self._bytes = layout, len(data)
        self._unended = data if _may_lack_its_end_only(layout) else None
        self._scale = _scale(file, CENTRE_SQUARE)
        self.work = self._estimate()

    def prepare_for(self, views: Sequence[View]) -> None:
        """Select the scale that all of `views` allow."""
        self._scale = min(_scale(self._file, view) for view in views)
        self.work = self._estimate()

    def _estimate(self) -> Work:
        copies = 3 if self._unended else 1
        return _estimate(self._file, self._layout, self._bytes, self._scale, copies)

    def load(self) -> DecodedImage:
        """Decode the pixels at the scale that the canvas needs."""
        file, data = self._file, self._unended
        del self._file, self._unended
        with decoder_errors("jpeg", self.work):
            if data is None:
                _load(file, self._scale)
            else:
                file = _load_unended(data, self._scale)
        image: Image.Image = file
        if file.mode == "CMYK" and "adobe" not in file.info:
            # Adobe's programs store 255 for no ink, and write a segment with their name. Pillow
            # always inverts, so the files of others are inverted back.
            image = ImageChops.invert(file)
        scale = file.decoderconfig[0] if file.decoderconfig else 1
        icc, exif = file.info.get("icc_profile"), file.info.get("exif")
        return DecodedImage(image, self._size, scale, icc, read_orientation(exif))


def open_jpeg(data: bytes, limits: Limits) -> OpenedJpeg:
    """Check the segments and read the header of a JPEG."""
    layout = check_segments(data)
    with decoder_errors("jpeg"):
        file = _JpegFile(BytesIO(data))
    check_size("jpeg", file.size, limits)
    return OpenedJpeg(file, layout, data)


def _scale(file: JpegImageFile, view: View) -> int:
    """Return the largest divisor of the sides that leaves `view` the pixels that it needs."""
    if view.crop:
        return 1
    size = file.size
    if view.fit == "contain":  # the others need the same of a photo and of one that was turned
        size = upright_size(size, read_orientation(file.info.get("exif")))
    (left, top, right, bottom), (_, _, across, down) = view.lay_out((0, 0, *size))
    needed = min((right - left) / across, (bottom - top) / down)
    return next(scale for scale in _SCALES if scale == 1 or scale <= needed)


def _load(file: JpegImageFile, scale: int) -> JpegImageFile:
    # Pillow selects the largest scale that leaves the sides at least as long as these
    file.draft(None, (max(1, file.width // scale), max(1, file.height // scale)))
    file.load()
    return file


def _may_lack_its_end_only(layout: ScanLayout) -> bool:
    """Return whether the end marker is missing, and `_is_complete` can tell if pixels are, too."""
    is_sequential = not layout.is_progressive and not layout.is_arithmetic
    has_one_scan = 0 < layout.first_scan_components == layout.component_scans
    return not layout.has_end and is_sequential and has_one_scan and not layout.has_restarts


def _load_unended(data: bytes, scale: int) -> JpegImageFile:
    """Decode a JPEG without its end marker; raise `OSError`, as Pillow does, if it lacks pixels."""
    file = _load(_JpegFile(BytesIO(data + _END)), scale)
    if not _is_complete(file, data, scale):
        raise OSError("pixels are missing")
    return file


def _is_complete(file: JpegImageFile, data: bytes, scale: int) -> bool:
    """Return whether all pixels of `file` come from `data`.

    libjpeg ignores what lies between the last pixel's code and the end marker. If pixels are
    missing, it reads them from there, and different bytes give different pixels.
    """
    pixels = file.tobytes()
    return all(
        _load(_JpegFile(BytesIO(data + filler + _END)), scale).tobytes() == pixels
        for filler in _FILLERS
    )


def _estimate(
    file: JpegImageFile, layout: ScanLayout, file_bytes: int, scale: int, copies: int
) -> Work:
    width, height = file.size
    scaled = -(-width // scale), -(-height // scale)
    components = len(file.layer)
    blocks, columns = _blocks(file)
    in_scans = layout.is_progressive or layout.first_scan_components < components
    is_inverted = file.mode == "CMYK" and "adobe" not in file.info
    load_bytes = (
        raster_bytes(file.mode, scaled) * (1 + is_inverted)
        + (copies - 1) * (2 * raster_bytes(file.mode, scaled) + file_bytes)
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
    cost *= copies
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
