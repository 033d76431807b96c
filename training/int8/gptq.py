"""Round a convolution's weights to integers so that their errors compensate on real photos.

    weights, moments of the convolution's input -> a scale for each output channel
    -> weight by weight: round it, and shift its error onto the weights still to come
    -> the mean error that remains, which the bias corrects

The weights follow Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers" (arXiv:2210.17323), the largest inputs first. The bias follows Nagel et
al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv:1906.04721), section 4.2, with measured means. docs/experiments.md (2026-11-22 and
2026-11-25) has the gain of each.

The integers are within ±64 (called seven bits here). x86 without VNNI adds two products of uint8
and int8 in 16 bits: twice 255 times 64 fits, twice 255 times 127 does not. ONNX Runtime then uses
its fast kernels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

MAX_INTEGER = 64
_DAMPING = 0.01
"""Share of the mean variance that is added to each variance, as in the paper."""
_NOISE = 1e-5
"""Share of the mean square that is added to each variance at least. Without it the covariance of
a constant input, such as a dead channel, could not be inverted."""
_BLOCK = 64
"""Columns whose errors are shifted onto the later columns in one product."""
_STEPS = np.arange(0.7, 1.01, 0.05)
"""Candidate scales: the weight that becomes 64, as a share of the largest weight."""

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Moments:
    """Sums over the input patches (G, K) of a convolution of G groups."""

    count: int
    total: Floats
    """(G, K)."""
    products: NDArray[np.floating]
    """(G, K, K)."""

    @classmethod
    def of(cls, patches: NDArray[np.float32]) -> Self:
        """Return the sums over `patches` (G, P, K)."""
        products = patches.transpose(0, 2, 1) @ patches
        total = np.ones((1, patches.shape[1]), np.float32) @ patches
        return cls(patches.shape[1], total[:, 0].astype(np.float64), products)

    def __iadd__(self, other: Self) -> Self:
        """Add the sums of `other`."""
        self.count += other.count
        self.total += other.total
        self.products += other.products
        return self

    @property
    def mean(self) -> Floats:
        """The mean patch, (G, K)."""
        return self.total / self.count

    @property
    def noise(self) -> Floats:
        """The possible error (G,) of a variance, because the sums are float32."""
        squares = np.diagonal(self.products, axis1=1, axis2=2).astype(np.float64)
        least = np.finfo(np.float32).tiny
        return np.asarray(_NOISE * squares.mean(axis=1) / self.count + least)

    @property
    def covariance(self) -> Floats:
        """The covariance of the patches, (G, K, K)."""
        mean = self.mean
        return self.products / self.count - mean[:, :, np.newaxis] * mean[:, np.newaxis, :]


@dataclass(frozen=True, eq=False)
class Rounded:
    """Weights as integers times a scale for each output channel."""

    integers: NDArray[np.int8]
    """(O, I, k, k), -64..64."""
    scale: NDArray[np.float32]
    """(O,)."""
    mean_error: Floats
    """(O,) the mean of each output channel before rounding minus after."""

    @property
    def weight(self) -> NDArray[np.float32]:
        """The weights (O, I, k, k) as floats."""
        return self.integers * self.scale[:, np.newaxis, np.newaxis, np.newaxis]


def round_weights(weight: NDArray[np.float32], moments: Moments) -> Rounded:
    """Round the weights (O, I, k, k) of a convolution whose input patches have these moments.

    The O outputs are ordered by group; the K columns of the moments are (I, k, k) flattened.
    """
    groups = len(moments.total)
    rows = weight.astype(np.float64).reshape(groups, len(weight) // groups, -1)
    covariance = moments.covariance
    noise = moments.noise
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    scale = _scales(rows, np.maximum(variance, noise[:, np.newaxis]))
    integers = _compensated(rows / scale[..., np.newaxis], covariance, noise)
    mean_error = ((rows - integers * scale[..., np.newaxis]) @ moments.mean[..., np.newaxis])[
        ..., 0
    ]
    return Rounded(
        integers.astype(np.int8).reshape(weight.shape),
        scale.astype(np.float32).ravel(),
        mean_error.ravel(),
    )


def _scales(rows: Floats, variance: Floats) -> Floats:
    """Return the scale (G, O/G) of each row (G, O/G, K) with the least squared error.

    Each weight is rounded by itself; `variance` (G, K) is that of its input.
    """
    largest = np.abs(rows).max(axis=2)
    whole = np.where(largest > 0, largest, 1) / MAX_INTEGER  # a dead channel stays zero
    best, least = whole, np.full(whole.shape, np.inf)
    for scale in (whole * step for step in _STEPS[::-1]):
        error = rows - _nearest(rows / scale[..., np.newaxis]) * scale[..., np.newaxis]
        cost = (error**2 @ variance[..., np.newaxis])[..., 0]
        best = np.where(cost < least, scale, best)
        least = np.minimum(cost, least)
    return best


def _nearest(rows: Floats) -> Floats:
    return np.clip(np.rint(rows), -MAX_INTEGER, MAX_INTEGER)


def _compensated(rows: Floats, covariance: Floats, noise: Floats) -> Floats:
    """Round `rows` (G, O/G, K), in units of their scale, to integers by GPTQ's algorithm 1."""
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    order = np.argsort(-variance, axis=1, kind="stable")
    damping = np.maximum(_DAMPING * variance.mean(axis=1), noise)
    damped = covariance + damping[:, np.newaxis, np.newaxis] * np.eye(rows.shape[2])
    damped = np.take_along_axis(damped, order[:, :, np.newaxis], axis=1)
    damped = np.take_along_axis(damped, order[:, np.newaxis, :], axis=2)
    shifts = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)

    rest = np.take_along_axis(rows, order[:, np.newaxis, :], axis=2)
    integers = np.empty_like(rest)
    for start in range(0, rest.shape[2], _BLOCK):
        block = range(start, min(start + _BLOCK, rest.shape[2]))
        errors = np.empty((*rest.shape[:2], len(block)))
        for column in block:
            integers[..., column] = _nearest(rest[..., column])
            error = rest[..., column] - integers[..., column]
            error /= shifts[:, column, column, np.newaxis]
            later = slice(column + 1, block.stop)
            rest[..., later] -= error[..., np.newaxis] * shifts[:, np.newaxis, column, later]
            errors[..., column - start] = error
        rest[..., block.stop :] -= errors @ shifts[:, block.start : block.stop, block.stop :]

    back = np.argsort(order, axis=1)
    return np.take_along_axis(integers, back[:, np.newaxis, :], axis=2)
