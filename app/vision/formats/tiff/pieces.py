"""Cut the strips or tiles of a TIFF out of the file.

tables of offsets and lengths -> as many as the picture needs, inside the file, and together not
longer than the file -> their bytes; of a JPEG, with its end marker and few scans
"""

import math
from itertools import pairwise

from app.errors import BrokenImage
from app.vision.formats.jpeg_markers import check_segments
from app.vision.formats.tiff import directory as tag
from app.vision.formats.tiff.directory import CUT_SHORT, Directory
from app.vision.formats.tiff.layout import JPEG, UNCOMPRESSED, YCBCR, Layout

MAX_PIECES = 65_536
"""Maximum number of strips or tiles; a strip for each row of the longest side."""
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"


def read_pieces(directory: Directory, layout: Layout) -> list[memoryview]:
    """Return the strips or tiles; of a planar picture, those of one sample after another.

    Raises:
        BrokenImage: there are too few or too many, or they are not inside the file.
    """
    across = math.ceil(layout.size[0] / layout.piece_width)
    count = across * math.ceil(layout.size[1] / layout.strip_rows)
    count *= layout.samples if layout.planar else 1
    if count > MAX_PIECES:
        raise BrokenImage(f"The TIFF has more than {MAX_PIECES:,} strips or tiles. Save it anew.")
    tables = (tag.STRIP_OFFSETS, tag.STRIP_BYTES)
    if layout.tile is not None and directory.has(tag.TILE_OFFSETS):
        tables = (tag.TILE_OFFSETS, tag.TILE_BYTES)
    offsets = [int(offset) for offset in directory.numbers(tables[0], count)]
    lengths = [int(length) for length in directory.numbers(tables[1], count)]
    if len(lengths) < count and len(offsets) == count:
        lengths = _derived_lengths(directory, layout, offsets)
    if len(offsets) < count or len(lengths) < count:
        raise BrokenImage("The TIFF has fewer strips or tiles than its size needs. Save it anew.")
    return _cut(directory.data, layout, offsets, lengths)


def _derived_lengths(directory: Directory, layout: Layout, offsets: list[int]) -> list[int]:
    """Return lengths for a file that states none: each strip ends where the next begins."""
    if layout.compression == UNCOMPRESSED:
        return [layout.piece_bytes] * len(offsets)
    ends = sorted({*offsets, len(directory.data)})
    following = dict(pairwise(ends))
    return [following.get(offset, offset) - offset for offset in offsets]


def _cut(data: bytes, layout: Layout, offsets: list[int], lengths: list[int]) -> list[memoryview]:
    view = memoryview(data)
    if layout.compression == UNCOMPRESSED and layout.photometric != YCBCR:
        whole = layout.piece_bytes
        lengths = [min(length, whole) for length in lengths]
    pieces = [view[at : at + length] for at, length in zip(offsets, lengths, strict=True)]
    if any(not length or len(piece) < length
           for piece, length in zip(pieces, lengths, strict=True)):  # fmt: skip
        raise BrokenImage(
            "The TIFF is broken or cut short (a strip or tile is empty, or lies outside the file). "
            "Send it again, or save it anew."
        )
    if sum(lengths) > len(data):
        raise BrokenImage("The TIFF has strips or tiles that overlap. Save it anew.")
    if layout.compression == JPEG:
        for piece in pieces:
            _check_jpeg(bytes(piece))
    return pieces


def _check_jpeg(data: bytes) -> None:
    """Reject a JPEG without its end marker, since libtiff fills what is missing with grey.

    One in several scans is checked as a JPEG file is.
    """
    if _JPEG_END not in data[-64:]:
        raise BrokenImage(CUT_SHORT)
    if data.count(_JPEG_SCAN) > 1:
        check_segments(data)
