"""The weights of Pillow's resize filters, as a matrix, and the composition of two resizes.

A resize is linear and works on each direction separately: each output is a weighted mean of a few
neighbouring inputs. Two resizes in a row are the product of their matrices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Resample = Literal["box", "bilinear", "bicubic", "lanczos"]

CACHED_WEIGHTS = 64
"""Filter weights that are cached for the next photo of the same size; 30 KB each."""

_Array = NDArray[np.float64]


def _box(x: _Array) -> _Array:
    return np.where((2 * x > -1) & (2 * x <= 1), 1.0, 0.0)


def _bilinear(x: _Array) -> _Array:
    return np.where(np.abs(x) < 1, 1 - np.abs(x), 0)


def _bicubic(x: _Array) -> _Array:
    """Evaluate the kernel of Keys 1981, with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))  # noqa: PLR2004


def _lanczos(x: _Array) -> _Array:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)  # noqa: PLR2004


_FILTERS: Mapping[Resample, tuple[Callable[[_Array], _Array], float]] = {
    "box": (_box, 0.5),
    "bilinear": (_bilinear, 1),
    "bicubic": (_bicubic, 2),
    "lanczos": (_lanczos, 3),
}
"""Each kernel with its support: the distance from which on it is 0, on both sides."""


@dataclass(frozen=True, eq=False)
class FilterWeights:
    """One direction of a resize: output i is the sum over k of weights[i, k] * input[first[i] + k].

    A weight for an input beyond the last one is 0.
    """

    first: NDArray[np.intp]
    """(outputs,), rising: the first input of each output."""
    weights: _Array
    """(outputs, inputs of each); each row sums to 1, or to less where an output shows grey."""


@lru_cache(maxsize=CACHED_WEIGHTS)
def make_filter_weights(
    inputs: int, low: float, high: float, outputs: int, resample: Resample
) -> FilterWeights:
    """Return the weights of Pillow's `Image.resize`, before its rounding to fixed point.

    The reference is Pillow's Resample.c.

    Args:
        inputs: the number of pixels.
        low: the begin of the part that is resized, in pixels; a filter reads beyond it.
        high: the end of that part, in pixels.
        outputs: the number of pixels of the result.
        resample: the filter. It is stretched when the result is smaller, so that all inputs count.
    """
    kernel, support = _FILTERS[resample]
    scale = (high - low) / outputs
    stretch = max(scale, 1.0)
    centre = low + (np.arange(outputs) + 0.5) * scale
    first = np.maximum(centre - support * stretch + 0.5, 0).astype(np.intp)
    end = np.minimum(centre + support * stretch + 0.5, inputs).astype(np.intp)
    index = first[:, np.newaxis] + np.arange((end - first).max())
    weights = kernel((index - centre[:, np.newaxis] + 0.5) / stretch)
    weights[index >= end[:, np.newaxis]] = 0
    return FilterWeights(first, weights / weights.sum(axis=1, keepdims=True))


def compose(earlier: FilterWeights, later: FilterWeights) -> FilterWeights:
    """Return the resize `earlier` followed by `later` as one: the product of their matrices."""
    (outputs, later_width), earlier_width = later.weights.shape, earlier.weights.shape[1]
    between = later.first[:, np.newaxis] + np.arange(later_width)
    between = np.minimum(between, len(earlier.first) - 1)  # where the weight is 0
    begin = earlier.first[later.first]
    offset = earlier.first[between] - begin[:, np.newaxis]
    width = int(offset.max()) + earlier_width
    row = np.arange(outputs)[:, np.newaxis] * width
    index = (row + offset)[:, :, np.newaxis] + np.arange(earlier_width)
    products = later.weights[:, :, np.newaxis] * earlier.weights[between]
    sums = np.bincount(index.ravel(), products.ravel(), outputs * width)
    return FilterWeights(begin, sums.astype(np.float64, copy=False).reshape(outputs, width))


def pad_outputs(weights: FilterWeights, start: int, outputs: int) -> FilterWeights:
    """Return `outputs` outputs, those of `weights` from `start` on; the others read no input."""
    around = start, outputs - start - len(weights.first)
    first = np.pad(weights.first, around, "edge")
    return FilterWeights(first, np.pad(weights.weights, (around, (0, 0))))


def trim_outputs(weights: FilterWeights) -> tuple[int, FilterWeights]:
    """Return the number of the first output that reads an input, and the outputs that do."""
    reading = np.flatnonzero((weights.weights != 0).any(axis=1))
    part = slice(reading[0], reading[-1] + 1)
    return int(reading[0]), FilterWeights(weights.first[part], weights.weights[part])
