"""Decode the first picture of a TIFF, classic or BigTIFF.

bytes -> first directory (`directory`) -> pixel limit -> layout (`layout`) -> strips (`pieces`)
      -> pixels (`pixels`)

Of Pillow only libtiff is used, not its plugin: the plugin reads every tag in Python, keeps the
upper byte of 16 bits, and turns the picture itself.
"""

import math

from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.formats.exif import UPRIGHT
from app.vision.formats.sixteen_bits import block_rows
from app.vision.formats.tiff import directory as tag
from app.vision.formats.tiff.directory import Directory
from app.vision.formats.tiff.layout import (
    JPEG,
    UNCOMPRESSED,
    WHITE_IS_ZERO,
    YCBCR,
    read_layout,
    read_size,
)
from app.vision.formats.tiff.pieces import read_pieces
from app.vision.formats.tiff.pixels import Stored, decode_pixels, image_mode, stored_modes
from app.vision.icc_profile import MAX_PROFILE_BYTES
from app.vision.picture import Limits
from app.vision.work import Work, estimate, raster_bytes

_ORIENTATIONS = range(1, 9)
_LIBJPEG_BYTES = 12_000_000
"""The memory that libtiff allows libjpeg for a strip in several scans, and its buffers."""
_WHOLE = 16


class OpenedTiff(OpenedFile):
    """A TIFF whose first directory was read; decoded, it is L, LA, RGB, RGBA or CMYK."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._icc = stored.directory.content(tag.ICC_PROFILE, MAX_PROFILE_BYTES)
        orientation = stored.directory.number(tag.ORIENTATION, UPRIGHT)
        self._orientation = orientation if orientation in _ORIENTATIONS else UPRIGHT
        self.work = _estimate(stored, may_turn=self._orientation != UPRIGHT)

    def load(self) -> DecodedImage:
        """Decode the pixels of the first picture."""
        size = self._stored.layout.size
        with decoder_errors("tiff", self.work):
            image = decode_pixels(self._stored)
        return DecodedImage(image, size, icc=self._icc, orientation=self._orientation)


def open_tiff(data: bytes, limits: Limits) -> OpenedTiff:
    """Read the first directory of a TIFF."""
    directory = Directory(data)
    check_size("tiff", read_size(directory), limits)
    layout = read_layout(directory)
    return OpenedTiff(Stored(directory, layout, read_pieces(directory, layout)))


def _estimate(stored: Stored, *, may_turn: bool) -> Work:
    layout, pieces = stored.layout, stored.pieces
    size, mode = layout.size, image_mode(layout)
    pixels, planes = math.prod(size), layout.samples if layout.planar else 1
    image_bytes = raster_bytes(mode, size)
    buffer_bytes = layout.piece_bytes
    if layout.photometric == YCBCR:
        buffer_bytes = 12 * layout.piece_width * layout.strip_rows
    if layout.compression == JPEG:
        buffer_bytes += _LIBJPEG_BYTES + 128 * layout.piece_width
    file_bytes = sum(map(len, pieces)) // planes
    if layout.bits == _WHOLE:
        wide = (size[0] * layout.samples // planes, size[1])
        stored_bytes = planes * raster_bytes("I;16", wide)
        block_bytes = 26 * layout.samples * size[0] * min(block_rows(size[0]), size[1])
        load_bytes = stored_bytes + max(file_bytes + buffer_bytes, image_bytes + block_bytes)
    elif layout.planar:
        stored_bytes = planes * raster_bytes("L", size)
        load_bytes = stored_bytes + max(file_bytes + buffer_bytes, 2 * image_bytes)
    else:
        stored_bytes = raster_bytes(stored_modes(layout)[0], size)
        converting_bytes = 2 * image_bytes * (stored_modes(layout)[0] != mode)
        if layout.photometric == WHITE_IS_ZERO and layout.samples > 1:
            converting_bytes = 4 * image_bytes
        load_bytes = stored_bytes + max(file_bytes + buffer_bytes, converting_bytes)
    compressed = layout.compression != UNCOMPRESSED
    per_sample = (0.6 + 1.6 * compressed + 3 * (layout.bits == _WHOLE)) * 1e-6
    return estimate(
        load_bytes=load_bytes,
        mode=mode,
        size=size,
        may_turn=may_turn,
        cost=0.5 + (per_sample * layout.samples + 1.5e-6) * pixels + 20e-6 * len(pieces),
    )
