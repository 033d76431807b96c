"""A resize as a matrix: what Pillow's filters weigh, and how two resizes become one.

A resize is linear, and each of its directions goes by itself: an output is a weighted mean of a few
neighbours, its taps. Two in a row are the product of their matrices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Resample = Literal["box", "bilinear", "bicubic", "lanczos"]

KEPT = 64
"""Directions of resizes that are kept for the next picture of the same size; 30 KB each."""

_Array = NDArray[np.float64]


def _box(x: _Array) -> _Array:
    return np.where((2 * x > -1) & (2 * x <= 1), 1.0, 0.0)


def _bilinear(x: _Array) -> _Array:
    return np.where(np.abs(x) < 1, 1 - np.abs(x), 0)


def _bicubic(x: _Array) -> _Array:
    """Keys 1981, with a = -1/2."""
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
"""Each with its reach: it is 0 from there on, to both sides."""


@dataclass(frozen=True, eq=False)
class Taps:
    """One direction of a resize: output i is the sum over k of weights[i, k] * input[first[i] + k].

    Where a tap would lie behind the last input, its weight is 0.
    """

    first: NDArray[np.intp]
    """(outputs,), rising."""
    weights: _Array
    """(outputs, taps); each row's sum is 1."""


@lru_cache(maxsize=KEPT)
def taps(inputs: int, low: float, high: float, outputs: int, resample: Resample) -> Taps:
    """What `Image.resize` of Pillow weighs, before it rounds to fixed point (Resample.c).

    Args:
        inputs: how many pixels there are.
        low: where the part of them that is resized begins, in pixels; a filter reads beyond.
        high: where it ends.
        outputs: to how many.
        resample: the filter, stretched where it goes down, so that all inputs count.
    """
    weigh, reach = _FILTERS[resample]
    scale = (high - low) / outputs
    stretch = max(scale, 1.0)
    centre = low + (np.arange(outputs) + 0.5) * scale
    first = np.maximum(centre - reach * stretch + 0.5, 0).astype(np.intp)
    end = np.minimum(centre + reach * stretch + 0.5, inputs).astype(np.intp)
    at = first[:, np.newaxis] + np.arange((end - first).max())
    weights = weigh((at - centre[:, np.newaxis] + 0.5) / stretch)
    weights[at >= end[:, np.newaxis]] = 0
    return Taps(first, weights / weights.sum(axis=1, keepdims=True))


def after(second: Taps, first: Taps) -> Taps:
    """The resize `first` and then `second`, as one: the product of their matrices."""
    (outputs, reads), reach = second.weights.shape, first.weights.shape[1]
    between = second.first[:, np.newaxis] + np.arange(reads)
    between = np.minimum(between, len(first.first) - 1)  # where the weight is 0
    begin = first.first[second.first]
    offset = first.first[between] - begin[:, np.newaxis]
    width = int(offset.max()) + reach
    row = np.arange(outputs)[:, np.newaxis] * width
    at = (row + offset)[:, :, np.newaxis] + np.arange(reach)
    products = second.weights[:, :, np.newaxis] * first.weights[between]
    summed = np.bincount(at.ravel(), products.ravel(), outputs * width)
    return Taps(begin, summed.astype(np.float64, copy=False).reshape(outputs, width))
