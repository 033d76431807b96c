"""Logits of a multi-label model -> the scale and offset that calibrate each label.

A label's probability is the sigmoid of scale * logit + offset, with the least negative
log-likelihood (Platt 1999, "Probabilistic Outputs for Support Vector Machines"). Targets are
smoothed by the numbers of photos with and without the label, as there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from app.runtime.evaluation.calibration_error import expected_calibration_error
from training.calibration import sigmoid
from training.last_layer import Head

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

_SCALES = (0.01, 20.0)
"""The least and the largest scale. A negative one would turn the ranking of photos around."""


@dataclass(frozen=True, eq=False)
class LabelCalibration:
    """The scale and the offset of each label, (K,) each."""

    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Return the calibrated probabilities (N, K) of logits (N, K)."""
        return sigmoid(logits * self.scales + self.offsets)

    def folded_into(self, head: Head) -> Head:
        """Return the head whose logits are calibrated."""
        weight = head.weight * self.scales[:, np.newaxis]
        bias = head.bias * self.scales + self.offsets
        return Head(weight.astype(np.float32), bias.astype(np.float32))


def fit(logits: Floats, truth: Mask) -> LabelCalibration:
    """Fit each label by itself.

    Args:
        logits: (N, K), by models that were not fitted on the photo.
        truth: (N, K) whether each photo has each label.
    """
    pairs = [
        _fit_label(logits[:, k].astype(np.float64), truth[:, k]) for k in range(truth.shape[1])
    ]
    scales, offsets = np.array(pairs).T
    return LabelCalibration(scales, offsets)


def cross_fitted(logits: Floats, truth: Mask, seed: int, folds: int = 5) -> NDArray[np.float64]:
    """Return probabilities (N, K), each by a calibration fitted without the photo's fold."""
    fold_of = np.random.default_rng(seed).permutation(len(truth)) % folds
    probabilities = np.empty(truth.shape)
    for fold in range(folds):
        inside = fold_of == fold
        calibration = fit(logits[~inside], truth[~inside])
        probabilities[inside] = calibration.probabilities(logits[inside])
    return probabilities


def mean_ece(probabilities: Floats, truth: Mask) -> float:
    """Return the mean over the labels of the expected calibration error, by (N, K) each."""
    errors = [
        expected_calibration_error(probabilities[:, k].astype(np.float64), truth[:, k])
        for k in range(truth.shape[1])
    ]
    return float(np.mean(errors))


def _fit_label(logits: Floats, truth: Mask) -> tuple[float, float]:
    positives = int(truth.sum())
    negatives = len(truth) - positives
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def objective(pair: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = pair[0] * logits + pair[1]
        error = sigmoid(scaled) - target
        loss = float((np.logaddexp(0, scaled) - target * scaled).mean())
        return loss, np.array([(error * logits).mean(), error.mean()])

    found = minimize(
        objective, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=(_SCALES, (None, None))
    )
    return float(found.x[0]), float(found.x[1])
