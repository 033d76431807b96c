"""The photos on which two versions disagree, the surest first, with small pictures.

A photo comes first if the version that is wrong about it is sure of its label. Photos of labels
that the serving version doesn't have come last: it can't be right about them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.jobs.comparison import Disagreement, VersionPrediction
from training.comparison.paired import Floats
from training.report.photo_examples import small_copy

MOST = 24

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Predicted:
    """One version's labels for N photos."""

    accepted: Mask
    """(N, K): the most probable label, or all that are accepted."""
    probabilities: Floats
    """(N, K)."""
    labels: Sequence[str]

    def names(self, row: int) -> tuple[str, ...]:
        """Return the labels of a photo."""
        return tuple(self.labels[index] for index in np.flatnonzero(self.accepted[row]).tolist())

    def prediction(self, row: int) -> VersionPrediction:
        """Return the labels of a photo with the lowest of their probabilities, or what is left."""
        chosen = self.probabilities[row][self.accepted[row]]
        probability = chosen.min() if len(chosen) else 1 - self.probabilities[row].max()
        return VersionPrediction(label="; ".join(self.names(row)), probability=float(probability))


def disagreements(
    truth: Sequence[tuple[str, ...]],
    names: Sequence[str],
    serving: Predicted,
    candidate: Predicted,
    picture: Callable[[int], NDArray[np.uint8] | None],
) -> list[Disagreement]:
    """Return the surest disagreements, at most 24.

    Args:
        truth: the right labels of each of N photos.
        names: the photos' names.
        serving: its labels.
        candidate: its labels.
        picture: the index of a photo -> uint8 RGB (h, w, 3); None if it can't be read.
    """
    found, known = [], set(serving.labels)
    for row, labels in enumerate(truth):
        sides = serving.prediction(row), candidate.prediction(row)
        predicted = set(serving.names(row)), set(candidate.names(row))
        if predicted[0] == predicted[1]:
            continue
        wrong = [
            side.probability
            for side, some in zip(sides, predicted, strict=True)
            if some != set(labels)
        ]
        is_new = not known.issuperset(labels)
        found.append((is_new, -max(wrong), row, sides))
    found.sort(key=lambda each: each[:3])
    return [
        Disagreement(
            photo=names[row],
            label="; ".join(truth[row]),
            serving=sides[0],
            candidate=sides[1],
            picture=_uri(picture(row)),
        )
        for _, _, row, sides in found[:MOST]
    ]


def _uri(pixels: NDArray[np.uint8] | None) -> str | None:
    return None if pixels is None else small_copy(pixels)[0]
