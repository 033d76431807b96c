"""Top-k accuracy, and recall and precision per class.

probabilities (N, K) and the true classes (N,) -> figures. NumPy only; `hubel evaluate` and
training measure with the same functions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class; a ratio whose denominator is 0 is None."""

    index: int
    images: int
    recall: float | None
    """Share of the class's images that are predicted as the class."""
    precision: float | None
    """Share of the images predicted as the class that belong to it."""


def top_k_accuracy(probabilities: Floats, truth: Integers, k: int) -> float:
    """Return the share of images whose class is among the `k` most probable.

    Args:
        probabilities: (N, K), N at least 1.
        truth: (N,) class indices.
        k: 1 for plain accuracy; ties rank the lower index first.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == truth[:, np.newaxis]).any(axis=1).mean())


def per_class(probabilities: Floats, truth: Integers) -> list[ClassFigures]:
    """Return the figures of each of the K classes, in the order of their indices.

    Args:
        probabilities: (N, K).
        truth: (N,) class indices.
    """
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    images = np.bincount(truth, minlength=classes)
    predictions = np.bincount(predicted, minlength=classes)
    correct = np.bincount(truth[predicted == truth], minlength=classes)
    return [
        ClassFigures(
            index=index,
            images=int(images[index]),
            recall=_ratio(correct[index], images[index]),
            precision=_ratio(correct[index], predictions[index]),
        )
        for index in range(classes)
    ]


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
