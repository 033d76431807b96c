"""Decode the pixels of a TIFF's first picture by libtiff.

strips or tiles -> a file of only the tags that they need
                -> up to 8 bits: libtiff -> pixels
                -> planar:       libtiff for each sample -> merged
                -> 16 bits:      libtiff, all samples as one wide grey picture -> rounded to 8 bits
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from app.vision.formats.sixteen_bits import block_rows, rows_of, to_8_bits, unpremultiply
from app.vision.formats.tiff import directory as tag
from app.vision.formats.tiff.directory import Directory, pixel_file
from app.vision.formats.tiff.layout import (
    ASSOCIATED,
    BLACK_IS_ZERO,
    JPEG,
    PALETTE,
    WHITE_IS_ZERO,
    YCBCR,
    Layout,
)
from app.vision.formats.tiff.libtiff import decode_by_libtiff

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
"""By the number of colours."""
_AS_WRITTEN = (tag.YCBCR_COEFFICIENTS, tag.REFERENCE_BLACK_WHITE)
"""Tags of rational numbers, which libtiff gets as they are."""
_RATIONAL, _UNDEFINED = 5, 7
_MAX_TABLE_BYTES = 1 << 16
_HALF, _WHOLE = 8, 16
_Numbers = dict[int, int | Sequence[int]]
"""The tags of whole numbers of a file for libtiff."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The first picture of a file, not decoded."""

    directory: Directory
    layout: Layout
    pieces: Sequence[memoryview]
    """Its strips or tiles."""


def decode_pixels(stored: Stored) -> Image.Image:
    """Return the picture as stored, not turned: L, LA, RGB, RGBA or CMYK."""
    layout = stored.layout
    if layout.bits == _WHOLE:
        return _decode_16_bits(stored)
    if layout.planar:
        return _decode_planes(stored)
    return _decode_up_to_8_bits(stored)


def image_mode(layout: Layout) -> str:
    """Return the mode of the decoded image."""
    if layout.photometric == PALETTE:
        return "RGB"
    mode = _MODES[layout.colours]
    return mode + "A" if layout.alpha and mode != "CMYK" else mode


def stored_modes(layout: Layout) -> tuple[str, str]:
    """Return the mode and raw mode in which Pillow unpacks up to 8 bits, not planar."""
    inverted = "I" * (layout.photometric == WHITE_IS_ZERO)
    if layout.bits < _HALF or (layout.samples == 1 and layout.photometric != YCBCR):
        mode = "P" if layout.photometric == PALETTE else "1" if layout.bits == 1 else "L"
        depth = str(layout.bits) if layout.bits < _HALF and mode != "1" else ""
        return mode, f"{mode};{depth}{inverted}" if depth or inverted else mode
    if layout.photometric == YCBCR:
        return "RGB", "RGB" if layout.compression == JPEG else "RGBX"
    colours = _MODES[layout.colours]
    extra = layout.samples - layout.colours
    mode = image_mode(layout)
    if not mode.endswith("A"):
        return mode, colours + "X" * extra
    letter = "a" if layout.alpha == ASSOCIATED else "A"
    return ("La" if (colours, letter) == ("L", "a") else mode), colours + letter + "X" * (extra - 1)


def _decode_up_to_8_bits(stored: Stored) -> Image.Image:
    layout = stored.layout
    mode, raw_mode = stored_modes(layout)
    numbers: _Numbers = {
        # Of the colours of a palette libtiff needs to know nothing.
        tag.PHOTOMETRIC: BLACK_IS_ZERO if layout.photometric == PALETTE else layout.photometric,
        tag.BITS: [layout.bits] * layout.samples,
        tag.SAMPLES: layout.samples,
        tag.PREDICTOR: 1 + layout.differences,
    }
    if extra := layout.samples - layout.colours:
        numbers[tag.EXTRA_SAMPLES] = [layout.alpha, *[0] * (extra - 1)]
    data, offset = _file(stored, numbers, stored.pieces)
    image = decode_by_libtiff(mode, layout.size, data, raw_mode, offset)
    if mode == "P":
        image.putpalette(_palette(stored.directory, layout.bits))
    if layout.photometric == WHITE_IS_ZERO and layout.samples > 1:
        grey, *rest = image.convert("LA").split()
        return Image.merge("LA", (ImageChops.invert(grey), *rest))
    return image if image.mode == image_mode(layout) else image.convert(image_mode(layout))


def _palette(directory: Directory, bits: int) -> bytes:
    """Return the palette as R, G, B of each entry; the file has all reds first, in 16 bits."""
    count = 1 << bits
    values = directory.numbers(tag.COLOUR_MAP, 3 * count)
    levels = np.zeros(3 * count, np.uint16)
    levels[: len(values)] = np.minimum(values, 65535)
    levels_8 = levels.astype(np.uint8) if levels.max() <= 255 else to_8_bits(levels)  # noqa: PLR2004
    return levels_8.reshape(3, count).T.tobytes()


def _decode_planes(stored: Stored) -> Image.Image:
    layout = stored.layout
    used = layout.colours + bool(layout.alpha and layout.colours < len(image_mode(layout)))
    planes = [_decode_plane(stored, number, "L") for number in range(used)]
    if layout.photometric == WHITE_IS_ZERO:
        planes[0] = ImageChops.invert(planes[0])
    mode = image_mode(layout)
    if layout.alpha == ASSOCIATED and mode.endswith("A"):
        return Image.merge(mode[:-1] + "a", planes).convert(mode)
    return Image.merge(mode, planes)


def _decode_plane(stored: Stored, number: int, mode: str) -> Image.Image:
    """Decode one sample of a planar picture, or all samples of another one side by side."""
    layout, pieces = stored.layout, stored.pieces
    width_factor = layout.samples
    if layout.planar:
        count = len(pieces) // layout.samples
        pieces = pieces[number * count : (number + 1) * count]
        width_factor = 1
    is_whole = layout.bits == _WHOLE
    numbers: _Numbers = {
        tag.PHOTOMETRIC: BLACK_IS_ZERO,
        tag.BITS: layout.bits,
        tag.SAMPLES: 1,
        tag.PREDICTOR: 1 + (layout.differences and not is_whole),
    }
    data, offset = _file(stored, numbers, pieces, width_factor)
    size = layout.size[0] * width_factor, layout.size[1]
    return decode_by_libtiff(mode, size, data, "I;16N" if is_whole else "L", offset)


def _decode_16_bits(stored: Stored) -> Image.Image:
    layout = stored.layout
    count = layout.samples if layout.planar else 1
    planes = [_decode_plane(stored, number, "I;16") for number in range(count)]
    mode, (width, height) = image_mode(layout), layout.size
    image = Image.new(mode, layout.size)
    step = block_rows(width)
    for top in range(0, height, step):
        rows = [rows_of(plane, top, step).reshape(-1, width, layout.samples // count)
                for plane in planes]  # fmt: skip
        samples = np.concatenate(rows, axis=-1) if layout.planar else rows[0]
        if layout.differences:
            samples = _accumulate(samples, layout.piece_width)
        block = np.ascontiguousarray(_to_8_bits(samples, layout)[..., : len(mode)])
        rows_8 = Image.frombytes(mode, (width, len(block)), block.tobytes())
        image.paste(rows_8, (0, top))
    return image


def _accumulate(differences: NDArray[np.uint16], piece_width: int) -> NDArray[np.uint16]:
    """Add the differences of (rows, width, samples) from the left edge of each tile on."""
    parts = [np.cumsum(differences[:, left : left + piece_width], axis=1, dtype=np.uint16)
             for left in range(0, differences.shape[1], piece_width)]  # fmt: skip
    return np.concatenate(parts, axis=1)


def _to_8_bits(samples: NDArray[np.uint16], layout: Layout) -> NDArray[np.uint8]:
    """Return the colours and alpha of (rows, width, samples) as levels of 8 bits."""
    colours = samples[..., : layout.colours]
    if layout.photometric == WHITE_IS_ZERO:
        colours = np.uint16(65535) - colours
    if not layout.alpha:
        return to_8_bits(colours)
    alpha = samples[..., layout.colours : layout.colours + 1]
    if layout.alpha == ASSOCIATED:
        colours = unpremultiply(colours, alpha)
    return to_8_bits(np.concatenate([colours, alpha], axis=-1))


def _file(
    stored: Stored,
    numbers: _Numbers,
    pieces: Sequence[memoryview],
    width_factor: int = 1,
) -> tuple[bytes, int]:
    """Return a TIFF of `pieces` alone, and the offset of its directory."""
    directory, layout = stored.directory, stored.layout
    numbers |= {
        tag.WIDTH: layout.size[0] * width_factor,
        tag.HEIGHT: layout.size[1],
        tag.COMPRESSION: layout.compression,
        tag.PLANAR: 1,
    }
    if layout.tile is None:
        numbers[tag.ROWS_PER_STRIP] = layout.strip_rows
    else:
        numbers[tag.TILE_WIDTH] = layout.tile[0] * width_factor
        numbers[tag.TILE_HEIGHT] = layout.tile[1]
    for each in (tag.FILL_ORDER, tag.T4_OPTIONS, tag.T6_OPTIONS):
        if directory.has(each):
            numbers[each] = directory.number(each, 0)
    contents = {}
    if layout.photometric == YCBCR:
        if len(subsampling := directory.numbers(tag.YCBCR_SUBSAMPLING, 2)) == 2:  # noqa: PLR2004
            numbers[tag.YCBCR_SUBSAMPLING] = [int(factor) for factor in subsampling]
        for each in _AS_WRITTEN:
            if content := directory.content(each, _MAX_TABLE_BYTES):
                contents[each] = (_RATIONAL, content)
    tables = directory.content(tag.JPEG_TABLES, _MAX_TABLE_BYTES)
    if layout.compression == JPEG and tables:
        contents[tag.JPEG_TABLES] = (_UNDEFINED, tables)
    return pixel_file(directory.order, numbers, contents, pieces, layout.tile is not None)
