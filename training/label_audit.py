"""Predictions by models that did not learn from the photos -> the labels that are probably wrong.

    probabilities, given labels -> the threshold of each class: its mean probability on its photos
    photos that are predicted as another class  -> suspects
    another class reaches its threshold         -> confident ones, which come first

This is confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels"). The thresholds allow for classes that the model is less sure of.
Within both kinds the order is by the margin: the probability of the other class minus that of the
given label.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Suspect:
    """A photo whose label is probably wrong."""

    index: int
    """Among the audited photos."""
    label: int
    """The given class."""
    suggested: int
    """The class that the model thinks right."""
    of_label: float
    """The probability of the given class."""
    of_suggested: float
    is_confident: bool
    """True if the suggested class is as probable as usual on its own photos."""


def suspects(
    probabilities: NDArray[np.floating[Any]], given: NDArray[np.integer[Any]]
) -> list[Suspect]:
    """Return the photos whose label is probably wrong, the most certain first.

    Args:
        probabilities: (N, K), each row by a model that did not learn from the photo.
        given: (N,) class indices.
    """
    if not len(given):
        return []
    rows = np.arange(len(given))
    thresholds = _class_thresholds(probabilities, given)
    suggested = probabilities.argmax(axis=1)
    of_suggested, of_given = probabilities[rows, suggested], probabilities[rows, given]
    margin, is_confident = of_suggested - of_given, of_suggested >= thresholds[suggested]
    found = np.flatnonzero(margin > 0)
    order = found[np.lexsort((-margin[found], ~is_confident[found]))]
    return [
        Suspect(
            index,
            int(given[index]),
            int(suggested[index]),
            float(of_given[index]),
            float(of_suggested[index]),
            bool(is_confident[index]),
        )
        for index in order.tolist()
    ]


def _class_thresholds(
    probabilities: NDArray[np.floating[Any]], given: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Return the mean probability (K,) of each class on its own photos; 1 for one without any."""
    counts = np.bincount(given, minlength=probabilities.shape[1])
    own = probabilities[np.arange(len(given)), given]
    sums = np.bincount(given, weights=own, minlength=probabilities.shape[1])
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
