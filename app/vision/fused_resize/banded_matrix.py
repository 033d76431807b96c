"""The matrix of one direction of a resize, cut into small blocks that BLAS multiplies fast.

filter weights (a band in a matrix of zeros) -> blocks: a few outputs, and the inputs they read

The inputs of a block are its window. Windows begin at even distances, so all of them are one
strided view of the pixels, and all products are one call of `matmul`, without the interpreter's
lock.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.vision.fused_resize.filter_weights import FilterWeights

_HEIGHTS = (8, 12, 16)
"""Numbers of outputs in a block with which BLAS is fast."""


@dataclass(frozen=True, eq=False)
class BandedMatrix:
    """The filter weights of one direction, cut into blocks.

    Block b computes `height` outputs, from b * height on. It reads `span` inputs, from
    low + b * stride on. Both may reach past an edge: the weights are 0 there.
    """

    weights: NDArray[np.float32]
    """(blocks, height, span)."""
    stride: int
    """Distance between the windows of two blocks, in inputs."""
    low: int
    """The first input of the first window; may be negative."""
    high: int
    """The end of the last window; may lie beyond the last input."""


def make_banded_matrix(filter_weights: FilterWeights) -> BandedMatrix:
    """Cut the filter weights of one direction into blocks with few multiplications."""
    outputs, width = filter_weights.weights.shape
    height = _block_height(filter_weights)
    begins = filter_weights.first[::height]
    count = len(begins)
    last_outputs = np.minimum(np.arange(1, count + 1) * height, outputs) - 1
    ends = filter_weights.first[last_outputs] + width
    stride = round((begins[-1] - begins[0]).item() / max(count - 1, 1))
    even = np.arange(count) * stride
    low = (begins - even).min().item()
    span = (ends - even).max().item() - low
    weights = np.zeros((count * height, span), np.float32)
    output = np.arange(outputs)
    column = filter_weights.first - (low + output // height * stride)
    columns = column[:, np.newaxis] + np.arange(width)
    weights[output[:, np.newaxis], columns] = filter_weights.weights
    high = low + (count - 1) * stride + span
    return BandedMatrix(weights.reshape(count, height, span), stride, low, high)


def _block_height(filter_weights: FilterWeights) -> int:
    """Select the height with the fewest multiplications.

    Windows grow wider to begin at even distances, which costs multiplications.
    """
    outputs, width = filter_weights.weights.shape
    step = float(filter_weights.first[-1] - filter_weights.first[0]) / max(outputs - 1, 1)

    def multiplications(height: int) -> float:
        count = math.ceil(outputs / height)
        drift = abs(height * step - round(height * step)) * (count - 1)
        return float(count * height * (height * step + width + drift))

    return min(_HEIGHTS, key=multiplications)
