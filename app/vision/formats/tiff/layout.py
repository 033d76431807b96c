"""Interpret the tags of a TIFF's first picture: its colours, its samples, its strips or tiles.

Directory -> read here?        no: UnsupportedFormat, with the reason
          -> within the file?  no: BrokenImage
          -> `Layout`
"""

import math
from dataclasses import dataclass
from functools import cached_property

from app.errors import BrokenImage, UnsupportedFormat
from app.vision.formats.tiff import directory as tag
from app.vision.formats.tiff.directory import Directory
from app.vision.sniff import READABLE_FORMATS

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
"""The photometric interpretations that are read."""
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
"""Samples per pixel without alpha, by photometric interpretation."""
_OTHER_PHOTOMETRICS = {
    4: "a mask",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "raw sensor data",
    32844: "LogL",
    32845: "LogLuv",
    34892: "raw sensor data",
}
UNCOMPRESSED, LZW, JPEG, PACKBITS, DEFLATES = 1, 5, 7, 32773, (8, 32946)
FAXES = (2, 3, 4)
_COMPRESSIONS = (UNCOMPRESSED, *FAXES, LZW, JPEG, PACKBITS, *DEFLATES)
_OTHER_COMPRESSIONS = {6: "JPEG of the old kind", 34712: "JPEG 2000", 34925: "LZMA",
                       50000: "Zstandard", 50001: "WebP", 34887: "LERC"}  # fmt: skip
ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of alpha: colours multiplied by it, or not."""
_UNSIGNED = (1, 4)
"""Sample formats: whole numbers, or not stated."""
_HORIZONTAL = 2
"""The predictor that stores differences to the pixel on the left."""
_MAX_EXTRA_SAMPLES = {1: 1, 3: 3, 4: 2}
"""Samples beside the colours, by the number of colours."""
_MAX_TILE_SIDE = 4096
"""A tile may be larger than its picture up to this side."""
_REDUCED = 1
"""The bit of the subfile type that says that the picture is a smaller copy of another."""


@dataclass(frozen=True)
class Layout:
    """How the pixels of a TIFF are stored."""

    size: tuple[int, int]
    """Width and height as stored, before the orientation."""
    photometric: int
    bits: int
    """Per sample: 1, 2, 4, 8 or 16."""
    colours: int
    """Samples of a pixel that are its colour."""
    samples: int
    """All samples of a pixel."""
    alpha: int
    """`ASSOCIATED`, `UNASSOCIATED`, or 0 for none; it is the sample after the colours."""
    compression: int
    differences: bool
    """Whether samples are stored as differences to the pixel on the left."""
    planar: bool
    """Whether each sample has strips or tiles of its own."""
    tile: tuple[int, int] | None
    """Width and height of the tiles; None for strips."""
    strip_rows: int
    """Rows of a strip; of a tile, its height."""

    @cached_property
    def piece_width(self) -> int:
        """Width of a strip or tile, in pixels."""
        return self.size[0] if self.tile is None else self.tile[0]

    @cached_property
    def piece_bytes(self) -> int:
        """Bytes of a whole strip or tile without compression."""
        samples = 1 if self.planar else self.samples
        return self.strip_rows * math.ceil(self.piece_width * samples * self.bits / 8)


def read_size(directory: Directory) -> tuple[int, int]:
    """Return width and height as stored.

    Raises:
        BrokenImage: they are missing or zero.
    """
    size = directory.number(tag.WIDTH, 0), directory.number(tag.HEIGHT, 0)
    if not all(size):
        raise BrokenImage("The TIFF does not state its size. Save it anew.")
    return size


def read_layout(directory: Directory) -> Layout:
    """Interpret the tags.

    Raises:
        UnsupportedFormat: samples, colours or the compression are of a kind that isn't read.
        BrokenImage: tags are missing, contradict each other, or point outside the file.
    """
    _check_kind_of_file(directory)
    size = read_size(directory)
    photometric = directory.number(tag.PHOTOMETRIC, WHITE_IS_ZERO)
    if photometric not in _COLOURS:
        kind = _OTHER_PHOTOMETRICS.get(photometric, f"colours of kind {photometric}")
        raise _unsupported(f"it holds {kind}")
    compression = directory.number(tag.COMPRESSION, UNCOMPRESSED)
    if compression not in _COMPRESSIONS:
        kind = _OTHER_COMPRESSIONS.get(compression, f"kind {compression}")
        raise _unsupported(f"its compression is {kind}")
    colours = _COLOURS[photometric]
    samples = directory.number(tag.SAMPLES, 1)
    bits = _bits(directory, samples, photometric, compression)
    alpha = _alpha(directory, samples - colours, _MAX_EXTRA_SAMPLES[colours])
    tile = None
    if directory.has(tag.TILE_WIDTH):
        tile = directory.number(tag.TILE_WIDTH, 0), directory.number(tag.TILE_HEIGHT, 0)
        _check_tile(tile, size)
    strip_rows = min(directory.number(tag.ROWS_PER_STRIP, size[1]) or size[1], size[1])
    planar = directory.number(tag.PLANAR, 1) == 2 and samples > 1  # noqa: PLR2004
    predictor = directory.number(tag.PREDICTOR, 1)
    differences = predictor == _HORIZONTAL and compression in (LZW, *DEFLATES)
    if predictor not in (1, _HORIZONTAL) and compression in (LZW, *DEFLATES):
        raise _unsupported("its predictor is of a kind for floating-point samples")
    if planar and photometric == YCBCR:
        raise _unsupported("Y, Cb and Cr are stored apart")
    return Layout(
        size, photometric, bits, colours, samples, alpha, compression, differences, planar, tile,
        tile[1] if tile else strip_rows,
    )  # fmt: skip


def _unsupported(reason: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"This TIFF is of a kind that isn't read here: {reason}. "
        f"Save it as an ordinary TIFF with 8 or 16 bits, or as {READABLE_FORMATS}."
    )


def _check_kind_of_file(directory: Directory) -> None:
    is_reduced = directory.number(tag.SUBFILE_TYPE, 0) & _REDUCED
    if directory.has(tag.DNG_VERSION) or (is_reduced and directory.has(tag.NESTED_DIRECTORIES)):
        raise UnsupportedFormat(
            "This is the raw file of a camera, which isn't read here. "
            f"Develop it, and save it as {READABLE_FORMATS}."
        )


def _bits(directory: Directory, samples: int, photometric: int, compression: int) -> int:
    each = {int(bits) for bits in directory.numbers(tag.BITS, max_count=8)} or {1}
    formats = {int(format) for format in directory.numbers(tag.SAMPLE_FORMAT, max_count=8)}
    if not formats.issubset(_UNSIGNED):
        raise _unsupported("its samples are signed or floating-point numbers")
    bits = each.pop()
    if each or bits not in (1, 2, 4, 8, 16):
        raise _unsupported(f"its samples have {'several numbers of' if each else bits} bits")
    few = bits < 8  # noqa: PLR2004
    allowed = not few or samples == 1
    if photometric == PALETTE:
        allowed = bits <= 8 and samples == 1  # noqa: PLR2004
    if photometric == YCBCR or compression == JPEG:
        allowed = bits == 8  # noqa: PLR2004
    if compression in FAXES:
        allowed = bits == 1 and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    if not allowed:
        raise _unsupported(f"it has {samples} samples of {bits} bits a pixel")
    return bits


def _alpha(directory: Directory, extra: int, most: int) -> int:
    if extra < 0:
        raise BrokenImage("The TIFF has fewer samples a pixel than its colours need. Save it anew.")
    if extra > most:
        raise _unsupported(f"it has {extra} samples a pixel beside its colours")
    if not extra:
        return 0
    kinds = directory.numbers(tag.EXTRA_SAMPLES, max_count=1)
    if not len(kinds):
        return UNASSOCIATED if extra == 1 else 0
    return int(kinds[0]) if kinds[0] in (ASSOCIATED, UNASSOCIATED) else 0


def _check_tile(tile: tuple[int, int], size: tuple[int, int]) -> None:
    for side, whole in zip(tile, size, strict=True):
        if side == 0 or side % 16 or side > max(_MAX_TILE_SIDE, whole + 15):
            raise BrokenImage("The TIFF has tiles of an impossible size. Save it anew.")
