"""Logits and the true classes -> the temperature that makes confidence honest.

One number divides all logits; it is the one with the least negative log-likelihood (Guo et al.
2017, "On Calibration of Modern Neural Networks"). What it gains is scored by cross-fitting: each
photo is scored with a temperature that was fitted on other photos. The temperature that ships is
fitted on all of them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

FOLDS = 5
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_LOWEST, _HIGHEST = 0.05, 20.0
_STEPS = 60


@dataclass(frozen=True, eq=False)
class Temperatures:
    """The temperature that ships, and those that score."""

    all: float
    """Fitted on every photo."""
    of_photo: Floats
    """(N,) for each photo, the temperature fitted without its fold."""


def fit_temperature(logits: Floats, truth: Integers, label_smoothing: float = 0.0) -> float:
    """The temperature with the least negative log-likelihood, between 0.05 and 20.

    The likelihood is concave in the inverse temperature, so golden-section search finds its peak.

    Args:
        logits: (N, K).
        truth: (N,) class indices.
        label_smoothing: the probability, shared by the other classes, that `truth` is wrong. It
            keeps a few photos without an error from giving certainty; see `label_smoothing_for`.
    """
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(_STEPS):
        left = high - _GOLDEN_RATIO * (high - low)
        right = low + _GOLDEN_RATIO * (high - low)
        if _loss(logits * left, truth, label_smoothing) < _loss(
            logits * right, truth, label_smoothing
        ):
            high = right
        else:
            low = left
    return 2 / (low + high)


def label_smoothing_for(photos: int) -> float:
    """The chance of an error after as many photos without one, by Laplace's rule of succession.

    As the targets of Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """
    return 1 / (photos + 2)


def cross_fit(logits: Floats, truth: Integers, seed: int, folds: int = FOLDS) -> Temperatures:
    """Fit on all photos, and for each of `folds` random folds on the photos outside it.

    Each time with the doubt that so many photos leave.
    """
    fold_of = np.random.default_rng(seed).permutation(len(truth)) % folds
    of_photo = np.empty(len(truth))
    for fold in range(folds):
        inside = fold_of == fold
        of_photo[inside] = _fit(logits[~inside], truth[~inside])
    return Temperatures(_fit(logits, truth), of_photo)


def _fit(logits: Floats, truth: Integers) -> float:
    return fit_temperature(logits, truth, label_smoothing_for(len(truth)))


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Probabilities (N, K) of logits (N, K), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def recalibrate(probabilities: Floats, temperatures: Temperatures) -> NDArray[np.float64]:
    """Probabilities that the graph gave, as each photo's own fold would have had them.

    A softmax's logarithm is its logits but for a constant, so nothing is lost.
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) * temperatures.all
    return softmax(logits / temperatures.of_photo[:, np.newaxis])


def _loss(logits: Floats, truth: Integers, label_smoothing: float) -> float:
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, np.newaxis]).sum(axis=1)) + top
    right = logits[np.arange(len(truth)), truth]
    if label_smoothing:
        others = (logits.sum(axis=1) - right) / (logits.shape[1] - 1)
        right = (1 - label_smoothing) * right + label_smoothing * others
    return float((total - right).mean())
