"""A resize as products of small matrices, which BLAS does.

picture -> floats -> rows: weights @ pixels -> columns: pixels @ weights -> rounded, (S, S, 3)

The matrix of a resize is a band, nearly all of it zeros. So it is cut into blocks: a few outputs,
and the window of inputs that they read. Windows begin at even distances, which makes all of them
one view of the pixels, and all products one call of `matmul`, outside the interpreter's lock.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from PIL import Image

from app.vision.fused_resize.filter_weights import Taps

_CHANNELS = 3
_HEIGHTS = (8, 12, 16)
"""Outputs of a block: what BLAS is fast with."""

_Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The taps of one direction, cut.

    Block b gives the outputs from b * height on, of the inputs from low + b * stride on. Both may
    reach past an edge: the weights are 0 there.
    """

    weights: _Floats
    """(blocks, height, span)."""
    stride: int
    low: int
    """Where the first window begins."""
    high: int
    """Where the last one ends."""


def blocks(taps: Taps) -> Blocks:
    """Cut the taps of one direction so that there is little to multiply."""
    outputs, reads = taps.weights.shape
    height = _height(taps)
    begins = taps.first[::height]
    count = len(begins)
    ends = taps.first[np.minimum(np.arange(1, count + 1) * height, outputs) - 1] + reads
    stride = round((begins[-1] - begins[0]).item() / max(count - 1, 1))
    even = np.arange(count) * stride
    low = (begins - even).min().item()
    span = (ends - even).max().item() - low
    weights = np.zeros((count * height, span), np.float32)
    output = np.arange(outputs)
    at = taps.first - (low + output // height * stride)
    weights[output[:, np.newaxis], at[:, np.newaxis] + np.arange(reads)] = taps.weights
    high = low + (count - 1) * stride + span
    return Blocks(weights.reshape(count, height, span), stride, low, high)


def _height(taps: Taps) -> int:
    """Such that windows begin nearly at even distances anyway: the rest widens them all."""
    outputs, reads = taps.weights.shape
    step = float(taps.first[-1] - taps.first[0]) / max(outputs - 1, 1)

    def multiplications(height: int) -> float:
        count = math.ceil(outputs / height)
        drift = abs(height * step - round(height * step)) * (count - 1)
        return float(count * height * (height * step + reads + drift))

    return min(_HEIGHTS, key=multiplications)


@dataclass(frozen=True, eq=False)
class Plan:
    """Both directions of a resize to `size` x `size`."""

    size: int
    rows: Blocks
    columns: Blocks
    factors: _Floats
    """The columns' weights, (blocks, 3 * span, 3 * height): pixels lie side by side, channel by
    channel, and no channel counts for another."""


def plan(rows: Taps, columns: Taps) -> Plan:
    """Prepare a resize to a square."""
    left, right = blocks(rows), blocks(columns)
    count, height, span = right.weights.shape
    factors = np.zeros((count, span, _CHANNELS, height, _CHANNELS), np.float32)
    for channel in range(_CHANNELS):
        factors[:, :, channel, :, channel] = right.weights.transpose(0, 2, 1)
    shape = (count, span * _CHANNELS, height * _CHANNELS)
    return Plan(len(rows.first), left, right, factors.reshape(shape))


def multiply(image: Image.Image, plan: Plan) -> NDArray[np.uint8]:
    """Resize an RGB image, rounded once; (size, size, 3) uint8, C-contiguous."""
    return _rounded(_columns(_rows(_floats(image, plan), plan), plan), plan.size)


def _floats(image: Image.Image, plan: Plan) -> _Floats:
    """What the windows read, (rows, 3 * columns), with zeros where they reach past an edge."""
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


def _rows(floats: _Floats, plan: Plan) -> _Floats:
    """(rows, 3 * columns) -> (size and more, 3 * columns)."""
    count, height, span = plan.rows.weights.shape
    width = floats.shape[1]
    row, item = floats.strides
    windows = as_strided(floats, (count, span, width), (plan.rows.stride * row, row, item))
    resized: _Floats = np.matmul(plan.rows.weights, windows)
    return resized.reshape(count * height, width)


def _columns(floats: _Floats, plan: Plan) -> _Floats:
    """(size and more, 3 * columns) -> (size, 3 * size and more)."""
    count, span, height = plan.factors.shape
    row, item = floats.strides
    step = plan.columns.stride * _CHANNELS * item
    windows = as_strided(floats, (count, plan.size, span), (step, row, item))
    resized = np.empty((plan.size, count * height), np.float32)
    row, item = resized.strides
    strips = as_strided(resized, (count, plan.size, height), (height * item, row, item))
    np.matmul(windows, plan.factors, out=strips)
    return resized


def _rounded(floats: _Floats, size: int) -> NDArray[np.uint8]:
    floats += 0.5
    np.clip(floats, 0, 255, out=floats)
    return floats[:, : size * _CHANNELS].astype(np.uint8).reshape(size, size, _CHANNELS)
