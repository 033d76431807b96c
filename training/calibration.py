"""Logits and true classes -> the temperature that calibrates the probabilities.

One number divides all logits: the temperature with the least negative log-likelihood (Guo et al.
2017, "On Calibration of Modern Neural Networks"). Cross-fitting scores the improvement: each photo
is scored with a temperature that was fitted on other photos. The temperature of the bundle is
fitted on all of them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

FOLDS = 5
_LOG_BOUNDS = (math.log(0.05), math.log(20.0))
_LOG_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Temperatures:
    """The temperature of the bundle, and for each photo the one fitted without its fold."""

    of_all_photos: float
    """Fitted on every photo."""
    of_photo: Floats
    """(N,) for each photo, the temperature fitted without its fold."""


def fit_temperature(logits: Floats, truth: Integers, label_smoothing: float = 0.0) -> float:
    """Return the temperature with the least negative log-likelihood, between 0.05 and 20.

    The loss is convex in the inverse temperature, so it has a single minimum. The search
    runs over the logarithm of the temperature, since the bounds span a factor of 400.

    Args:
        logits: (N, K).
        truth: (N,) class indices.
        label_smoothing: the target probability that is spread over the other classes. It
            prevents certainty from a few photos without an error; see `label_smoothing_for`.
    """
    logits64 = logits.astype(np.float64)  # float32's rounding would shift the minimum by 0.5 %

    def loss(log_temperature: float) -> float:
        return _loss(logits64 * math.exp(-log_temperature), truth, label_smoothing)

    minimum = minimize_scalar(
        loss, bounds=_LOG_BOUNDS, method="bounded", options={"xatol": _LOG_TOLERANCE}
    )
    # The bounded method never evaluates the bounds themselves. Of equal losses the lowest
    # temperature counts: where all photos are right, the loss underflows to 0.
    lowest, highest = _LOG_BOUNDS
    return math.exp(min((lowest, float(minimum.x), highest), key=loss))


def label_smoothing_for(photos: int) -> float:
    """Return the label smoothing for a fit on `photos` photos, by Laplace's rule of succession.

    It is the rule's probability of an error after as many photos without an error. Platt 1999,
    "Probabilistic Outputs for Support Vector Machines", smooths its targets likewise.
    """
    return 1 / (photos + 2)


def cross_fit(logits: Floats, truth: Integers, seed: int, folds: int = FOLDS) -> Temperatures:
    """Fit on all photos, and for each of `folds` random folds on the photos outside it.

    Each fit smooths the labels by the number of its photos.
    """
    fold_of = np.random.default_rng(seed).permutation(len(truth)) % folds
    of_photo = np.empty(len(truth))
    for fold in range(folds):
        inside = fold_of == fold
        of_photo[inside] = _fit_smoothed(logits[~inside], truth[~inside])
    return Temperatures(_fit_smoothed(logits, truth), of_photo)


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Return the probabilities (N, K) of logits (N, K), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(logits: Floats) -> NDArray[np.float64]:
    """Return the probability of each logit by itself, in float64."""
    return np.asarray(expit(logits.astype(np.float64)))


def recalibrate(probabilities: Floats, temperatures: Temperatures) -> NDArray[np.float64]:
    """Recompute the graph's probabilities with the temperature fitted without each photo's fold.

    The logarithm of a softmax differs from its logits by a constant, so nothing is lost.
    """
    logits = (
        np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) * temperatures.of_all_photos
    )
    return softmax(logits / temperatures.of_photo[:, np.newaxis])


def _fit_smoothed(logits: Floats, truth: Integers) -> float:
    return fit_temperature(logits, truth, label_smoothing_for(len(truth)))


def _loss(logits: Floats, truth: Integers, label_smoothing: float) -> float:
    """Return the mean negative log-likelihood of logits (N, K)."""
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, np.newaxis]).sum(axis=1)) + top
    target = logits[np.arange(len(truth)), truth]
    if label_smoothing:
        others = (logits.sum(axis=1) - target) / (logits.shape[1] - 1)
        target = (1 - label_smoothing) * target + label_smoothing * others
    return float((total - target).mean())
