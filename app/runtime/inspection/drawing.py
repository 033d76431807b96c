"""Maps, filters and overlays as pictures.

Maps of one picture share one scale, so that they can be compared; the response states it. Where no
value is negative, black is 0 and the brightest colour is the layer's largest value. Otherwise grey
is 0, blue is below and orange above.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.runtime.inspection.filters import Filters

_HEAT = ((0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21),
         (250, 193, 39), (252, 255, 164))  # fmt: skip
"""matplotlib's "inferno" (CC0) at eight equal steps."""
_SIGNED = ((20, 60, 160), (70, 130, 215), (128, 128, 128), (235, 140, 50), (180, 60, 0))
_OVERLAY_LOW = (255, 96, 0)
_OVERLAY_HIGH = (255, 225, 60)
_ALPHA = [round(255 * 0.8 * (heat / 255) ** 1.4) for heat in range(256)]
"""The opacity of the overlay's colour over the photo, by heat."""
_DIMMED = [round(0.8 * level) for level in range(256)] * 3

_SIDE_LIMIT = 2048
"""The approximate largest width of a grid, in pixels; only maps that aren't enlarged exceed it."""
_TILE = 56
"""The approximate side, in pixels, to which smaller maps are enlarged by a whole factor."""
_GAP = 2
_PERCENTILE = 99.5
"""The percentile that is drawn brightest, so that one bright spot doesn't darken the rest."""


@dataclass(frozen=True)
class Grid:
    """The positions of many maps in one picture."""

    columns: int
    rows: int
    tile_width: int
    tile_height: int
    gap: int
    """Pixels between two tiles, and around all of them."""

    @classmethod
    def of(cls, count: int, height: int, width: int) -> "Grid":
        """Return the grid of `count` maps, `height` x `width`, enlarged to about `_TILE`."""
        factor = max(1, round(_TILE / max(height, width)))
        while factor > 1 and math.isqrt(count) * (width * factor + _GAP) > _SIDE_LIMIT:
            factor -= 1
        columns = math.ceil(math.sqrt(count))
        rows = math.ceil(count / columns)
        return cls(columns, rows, width * factor, height * factor, _GAP)


def scale_of(maps: NDArray[np.float32]) -> tuple[float, float]:
    """Return the values that are drawn darkest and brightest: 0 and high, or -limit and limit.

    `high` and `limit` are a percentile of the values or absolute values, `_PERCENTILE`.
    """
    low, high = float(maps.min(initial=0)), float(maps.max(initial=0))
    if low >= 0:
        high = float(np.percentile(maps, _PERCENTILE)) or high
        return 0.0, high or 1.0
    limit = float(np.percentile(np.abs(maps), _PERCENTILE)) or max(-low, high)
    return -limit, limit


def map_grid(maps: NDArray[np.float32], scale: tuple[float, float]) -> tuple[bytes, Grid]:
    """Return a PNG of maps (C, h, w), side by side in their order, and their positions.

    Each number of a vector (C,) becomes a square. The PNG has a byte per pixel; 0 is the gap, which
    is transparent.
    """
    tiles = _indexed(maps.reshape(len(maps), *(maps.shape[1:] or (1, 1))), *scale)
    grid = Grid.of(*tiles.shape)
    image = Image.fromarray(_laid_out(tiles, grid))
    image.putpalette(_colours(scale).tobytes())
    return _encoded(image, transparency=0), grid


def filter_grid(filters: Filters) -> tuple[bytes, Grid]:
    """Return a PNG of filters in their own colours, side by side in order, and their positions.

    All filters share one scale: 0 is grey, plus the largest absolute weight is 255, and minus that
    weight is 0. The values between follow a cube root. Folded batch normalisation leaves some
    filters a hundred times as strong as others, so most would be plain grey on a linear scale.
    """
    shares = np.cbrt(filters.weights / filters.largest)
    colours = np.rint(127.5 + 127.5 * shares).astype(np.uint8)
    tiles = np.full((len(colours), *colours.shape[2:], 4), 255, np.uint8)
    tiles[..., :3] = np.moveaxis(colours, 1, -1)
    grid = Grid.of(*tiles.shape[:3])
    return _encoded(Image.fromarray(_laid_out(tiles, grid))), grid


def map_picture(values: NDArray[np.float32], scale: tuple[float, float]) -> tuple[bytes, Grid]:
    """Return a PNG of one large map (h, w), with a pixel for each value."""
    image = Image.fromarray(_indexed(values, *scale))
    image.putpalette(_colours(scale).tobytes())
    return _encoded(image), Grid(1, 1, values.shape[1], values.shape[0], 0)


def overlay(
    canvas: NDArray[np.uint8], label_map: NDArray[np.float32], side: int
) -> NDArray[np.uint8]:
    """Return a canvas (480, 480, 3) with the positive part of a label's map in warm colours.

    Args:
        canvas: the photo.
        label_map: the label's map (h, w); negative values are not drawn.
        side: side of the centre square of the canvas that the map covers, in pixels.
    """
    shares = np.clip(label_map / max(float(label_map.max()), 1e-9), 0, 1)
    small = Image.fromarray(np.rint(255 * shares).astype(np.uint8))
    heat = Image.new("L", (len(canvas), len(canvas)))
    start = (len(canvas) - side) // 2
    heat.paste(small.resize((side, side), Image.Resampling.BICUBIC), (start, start))
    photo = Image.fromarray(canvas)
    # the photo is greyed and dimmed, so that the warm part stands out
    dimmed = Image.blend(photo.convert("L").convert("RGB"), photo, 0.7).point(_DIMMED)
    alpha = heat.point(_ALPHA)
    heat.putpalette(_between([_OVERLAY_LOW, _OVERLAY_HIGH], 256).tobytes())
    return np.asarray(Image.composite(heat.convert("RGB"), dimmed, alpha))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG of (h, w, 3) uint8 RGB."""
    return _encoded(Image.fromarray(pixels))


def _encoded(image: Image.Image, **options: int) -> bytes:
    """Return a PNG with the lowest compression: encoding takes longer than sending."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, **options)
    return file.getvalue()


def _indexed(maps: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Return each value's index 1..255 among the colours."""
    scaled = 1 + (maps - low) * (254 / (high - low))
    index: NDArray[np.uint8] = np.clip(np.rint(scaled), 1, 255).astype(np.uint8)
    return index


def _laid_out(tiles: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """Return one picture of tiles (C, h, w, ...), enlarged and at their positions; 0 in between."""
    step_y, step_x = grid.tile_height + grid.gap, grid.tile_width + grid.gap
    size = (grid.rows * step_y + grid.gap, grid.columns * step_x + grid.gap)
    picture = np.zeros((*size, *tiles.shape[3:]), np.uint8)
    factor = grid.tile_width // tiles.shape[2]
    for index, tile in enumerate(tiles):
        row, column = divmod(index, grid.columns)
        top, left = grid.gap + row * step_y, grid.gap + column * step_x
        place = picture[top : top + grid.tile_height, left : left + grid.tile_width]
        place[:] = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    return picture


def _colours(scale: tuple[float, float]) -> NDArray[np.uint8]:
    """Return 256 colours, the first for gaps: from dark to bright, or with grey for 0."""
    table = np.zeros((256, 3), np.uint8)
    table[1:] = _between(_SIGNED if scale[0] < 0 else _HEAT, 255)
    return table


def _between(steps: Sequence[tuple[int, int, int]], count: int) -> NDArray[np.uint8]:
    """Return `count` colours, evenly interpolated between those of `steps`."""
    positions = np.linspace(0, len(steps) - 1, count)
    colours = np.array(steps, np.float64)
    channels = [np.interp(positions, np.arange(len(steps)), colours[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
