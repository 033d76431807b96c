"""The expected calibration error (ECE): probabilities (N, K), true classes (N,) -> one figure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15
"""The number of equal-width bins (Guo et al. 2017, "On Calibration of Modern Neural Networks")."""


def expected_calibration_error(
    confidences: NDArray[np.floating[Any]], correct: NDArray[np.bool_], bins: int = ECE_BINS
) -> float:
    """Return the mean difference of confidence and accuracy over equal-width confidence bins.

    Args:
        confidences: (N,) top-1 probabilities, 0 to 1.
        correct: (N,) whether each top-1 prediction is right.
        bins: number of bins; each holds (low, high], and the first holds 0 too.
    """
    bin_of = np.clip(np.ceil(confidences * bins).astype(np.intp) - 1, 0, bins - 1)
    confidence_sums = np.bincount(bin_of, weights=confidences, minlength=bins)
    correct_sums = np.bincount(bin_of, weights=correct.astype(np.float64), minlength=bins)
    return float(np.abs(confidence_sums - correct_sums).sum() / len(confidences))


def calibration_error(
    probabilities: NDArray[np.floating[Any]], truth: NDArray[np.integer[Any]]
) -> float:
    """Return the expected calibration error of the top-1 predictions.

    Args:
        probabilities: (N, K).
        truth: (N,) class indices.
    """
    predicted = probabilities.argmax(axis=1)
    return expected_calibration_error(probabilities.max(axis=1), predicted == truth)
