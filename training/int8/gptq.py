"""A convolution's weights -> 7-bit weights whose errors make up for one another on real photos.

    weights, moments of what the convolution reads -> a scale for each output channel
    -> weight by weight: rounded, and what that loses shifted onto the weights still to come
    -> the mean that is lost all the same, which the bias can take back

The weights after Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers" (arXiv:2210.17323), the largest inputs first; the bias after Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv:1906.04721),
section 4.2, with the means measured instead of derived. DECISIONS.md has what each gains.

Seven bits, because x86 without VNNI adds two products of uint8 and int8 in 16 bits: twice 255 times
64 fits, twice 255 times 127 does not. ONNX Runtime sees that, and takes its fast way there.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

LARGEST = 64
_DAMPING = 0.01
"""Of the mean variance, added to each; as published."""
_NOISE = 1e-5
"""Of the mean square. At least so much is added to each variance, or one of what never changes,
such as a dead channel's, could not be inverted."""
_BLOCK = 64
"""Columns whose errors are shifted onto the later ones together."""
_STEPS = np.arange(0.7, 1.01, 0.05)
"""Shares of the largest weight that the largest integer may stand for."""

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Moments:
    """Sums over patches (G, K) that a convolution of G groups reads."""

    count: int
    total: Floats
    """(G, K)."""
    products: NDArray[np.floating]
    """(G, K, K)."""

    @classmethod
    def of(cls, patches: NDArray[np.float32]) -> Self:
        """The sums of `patches` (G, P, K)."""
        products = patches.transpose(0, 2, 1) @ patches
        total = np.ones((1, patches.shape[1]), np.float32) @ patches
        return cls(patches.shape[1], total[:, 0].astype(np.float64), products)

    def __iadd__(self, other: Self) -> Self:
        """Count the patches of `other`, too."""
        self.count += other.count
        self.total += other.total
        self.products += other.products
        return self

    @property
    def mean(self) -> Floats:
        """(G, K)."""
        return self.total / self.count

    @property
    def noise(self) -> Floats:
        """(G,) by how much a variance may be off, from sums in float32."""
        squares = np.diagonal(self.products, axis1=1, axis2=2).astype(np.float64)
        least = np.finfo(np.float32).tiny
        return np.asarray(_NOISE * squares.mean(axis=1) / self.count + least)

    @property
    def covariance(self) -> Floats:
        """(G, K, K)."""
        mean = self.mean
        return self.products / self.count - mean[:, :, np.newaxis] * mean[:, np.newaxis, :]


@dataclass(frozen=True, eq=False)
class Rounded:
    """Weights as integers times a scale for each output channel."""

    integers: NDArray[np.int8]
    """(O, I, k, k), -64..64."""
    scale: NDArray[np.float32]
    """(O,)."""
    lost: Floats
    """(O,) by how much the mean of each output channel falls."""

    @property
    def weight(self) -> NDArray[np.float32]:
        """(O, I, k, k) what they stand for."""
        return self.integers * self.scale[:, np.newaxis, np.newaxis, np.newaxis]


def rounded(weight: NDArray[np.float32], moments: Moments) -> Rounded:
    """Round the weights (O, I, k, k) of a convolution that reads patches of `moments`.

    Its groups, G, lie one after the other in O; K of the moments is I k k, in that order.
    """
    groups = len(moments.total)
    rows = weight.astype(np.float64).reshape(groups, len(weight) // groups, -1)
    covariance = moments.covariance
    noise = moments.noise
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    scale = _scales(rows, np.maximum(variance, noise[:, np.newaxis]))
    integers = _compensated(rows / scale[..., np.newaxis], covariance, noise)
    lost = ((rows - integers * scale[..., np.newaxis]) @ moments.mean[..., np.newaxis])[..., 0]
    return Rounded(
        integers.astype(np.int8).reshape(weight.shape),
        scale.astype(np.float32).ravel(),
        lost.ravel(),
    )


def _scales(rows: Floats, variance: Floats) -> Floats:
    """(G, O/G) the scale of each row (G, O/G, K) that costs least, each weight rounded by itself.

    `variance` (G, K) is that of what each weight is multiplied by.
    """
    largest = np.abs(rows).max(axis=2)
    whole = np.where(largest > 0, largest, 1) / LARGEST  # a dead channel stays zero
    best, least = whole, np.full(whole.shape, np.inf)
    for scale in (whole * step for step in _STEPS[::-1]):
        error = rows - _nearest(rows / scale[..., np.newaxis]) * scale[..., np.newaxis]
        cost = (error**2 @ variance[..., np.newaxis])[..., 0]
        best = np.where(cost < least, scale, best)
        least = np.minimum(cost, least)
    return best


def _nearest(rows: Floats) -> Floats:
    return np.clip(np.rint(rows), -LARGEST, LARGEST)


def _compensated(rows: Floats, covariance: Floats, noise: Floats) -> Floats:
    """Integers (G, O/G, K) for `rows`, which are in units of their scale; GPTQ's algorithm 1."""
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
