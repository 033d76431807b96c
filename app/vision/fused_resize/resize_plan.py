"""Resize an image by one matrix product for its rows and one for its columns.

image -> floats -> rows: weights @ pixels -> columns: pixels @ weights -> rounded, (H, W, 3)

Everything that depends only on the sizes is in a `ResizePlan`, which is made once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from PIL import Image

from app.vision.fused_resize.banded_matrix import BandedMatrix, make_banded_matrix
from app.vision.fused_resize.filter_weights import FilterWeights

_CHANNELS = 3

_Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ResizePlan:
    """Both directions of a resize of any box of an image to `height` x `width` pixels."""

    height: int
    width: int
    rows: BandedMatrix
    columns: BandedMatrix
    column_factors: _Floats
    """The columns' weights, repeated for each channel: (blocks, 3 * span, 3 * height).

    A row of pixels holds R, G and B in turn; the weights between different channels are 0.
    """
    grey: _Floats | None = None
    """(height, 3 * width): the grey that is added to each value; None for none."""


def plan_resize(
    rows: FilterWeights, columns: FilterWeights, grey: _Floats | None = None
) -> ResizePlan:
    """Prepare a resize: `rows` say where the heights come from, `columns` the widths.

    `grey` is (height, width), and added to each pixel; None for none.
    """
    row_matrix, column_matrix = make_banded_matrix(rows), make_banded_matrix(columns)
    count, height, span = column_matrix.weights.shape
    factors = np.zeros((count, span, _CHANNELS, height, _CHANNELS), np.float32)
    for channel in range(_CHANNELS):
        factors[:, :, channel, :, channel] = column_matrix.weights.transpose(0, 2, 1)
    shape = (count, span * _CHANNELS, height * _CHANNELS)
    sides = len(rows.first), len(columns.first)
    grey = None if grey is None else np.repeat(grey, _CHANNELS, axis=1)
    return ResizePlan(*sides, row_matrix, column_matrix, factors.reshape(shape), grey)


def apply_plan(plan: ResizePlan, image: Image.Image) -> NDArray[np.uint8]:
    """Resize an RGB image and round once; return (height, width, 3) uint8, C-contiguous."""
    resized = _multiply_columns(_multiply_rows(_floats(image, plan), plan), plan)
    if plan.grey is not None:
        resized[:, : plan.grey.shape[1]] += plan.grey
    return _round(resized, plan.width)


def _floats(image: Image.Image, plan: ResizePlan) -> _Floats:
    """Return the pixels of all windows, (rows, 3 * columns), with zeros past the image's edges."""
    left, top, right, bottom = plan.columns.low, plan.rows.low, plan.columns.high, plan.rows.high
    pixels = np.asarray(image)[max(top, 0) : bottom, max(left, 0) : right]
    height, width, _ = pixels.shape
    above, before = max(-top, 0), max(-left, 0)
    floats = np.empty((bottom - top, right - left, _CHANNELS), np.float32)
    floats[:above] = 0
    floats[above + height :] = 0
    floats[:, :before] = 0
    floats[:, before + width :] = 0
    floats[above : above + height, before : before + width] = pixels
    return floats.reshape(bottom - top, -1)


def _multiply_rows(floats: _Floats, plan: ResizePlan) -> _Floats:
    """Multiply the rows: (rows, 3 * columns) -> (plan.height and more, 3 * columns)."""
    count, height, span = plan.rows.weights.shape
    width = floats.shape[1]
    row, item = floats.strides
    windows = as_strided(floats, (count, span, width), (plan.rows.stride * row, row, item))
    resized: _Floats = np.matmul(plan.rows.weights, windows)
    return resized.reshape(count * height, width)


def _multiply_columns(floats: _Floats, plan: ResizePlan) -> _Floats:
    """Multiply the columns: (plan.height and more, ...) -> (plan.height, 3 * plan.width and more).

    "And more": sizes are rounded up to whole blocks.
    """
    count, span, height = plan.column_factors.shape
    row, item = floats.strides
    step = plan.columns.stride * _CHANNELS * item
    windows = as_strided(floats, (count, plan.height, span), (step, row, item))
    resized = np.empty((plan.height, count * height), np.float32)
    row, item = resized.strides
    strips = as_strided(resized, (count, plan.height, height), (height * item, row, item))
    np.matmul(windows, plan.column_factors, out=strips)
    return resized


def _round(floats: _Floats, width: int) -> NDArray[np.uint8]:
    floats += 0.5
    np.clip(floats, 0, 255, out=floats)
    rounded = floats[:, : width * _CHANNELS].astype(np.uint8)
    return rounded.reshape(len(rounded), width, _CHANNELS)
