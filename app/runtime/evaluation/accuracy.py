"""How good probabilities are: accuracy, calibration, and both by class.

probabilities (N, K) and the true classes (N,) -> figures. NumPy only; `hubel evaluate` and
training measure with the same functions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

ECE_BINS = 15
"""As in Guo et al. 2017, "On Calibration of Modern Neural Networks"."""


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares; a share of nothing is None."""

    index: int
    images: int
    recall: float | None
    """Share of the class's images that are given its label."""
    precision: float | None
    """Share of the images given its label that are of the class."""


def top_k_accuracy(probabilities: Floats, truth: Integers, k: int) -> float:
    """Share of images whose class is among the `k` most probable.

    Args:
        probabilities: (N, K), N at least 1.
        truth: (N,) class indices.
        k: 1 for plain accuracy; of equal probabilities, the lower index is the more probable.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == truth[:, np.newaxis]).any(axis=1).mean())


def expected_calibration_error(
    confidences: Floats, correct: NDArray[np.bool_], bins: int = ECE_BINS
) -> float:
    """Mean distance between how sure and how right, over equal-width bins of confidence.

    Args:
        confidences: (N,) the probability of each image's answer, 0 to 1.
        correct: (N,) whether that answer is right.
        bins: how many; each holds (low, high], the first 0 too.
    """
    bin_of = np.clip(np.ceil(confidences * bins).astype(np.intp) - 1, 0, bins - 1)
    sure = np.bincount(bin_of, weights=confidences, minlength=bins)
    right = np.bincount(bin_of, weights=correct.astype(np.float64), minlength=bins)
    return float(np.abs(sure - right).sum() / len(confidences))


def calibration_error(probabilities: Floats, truth: Integers) -> float:
    """The expected calibration error of the top-1 answers of (N, K) probabilities."""
    answers = probabilities.argmax(axis=1)
    return expected_calibration_error(probabilities.max(axis=1), answers == truth)


def per_class(probabilities: Floats, truth: Integers) -> list[ClassFigures]:
    """The figures of each of the K classes, in the order of their indices."""
    classes = probabilities.shape[1]
    answers = probabilities.argmax(axis=1)
    images = np.bincount(truth, minlength=classes)
    answered = np.bincount(answers, minlength=classes)
    right = np.bincount(truth[answers == truth], minlength=classes)
    return [
        ClassFigures(
            index=index,
            images=int(images[index]),
            recall=_share(right[index], images[index]),
            precision=_share(right[index], answered[index]),
        )
        for index in range(classes)
    ]


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
