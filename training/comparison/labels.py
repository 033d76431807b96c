"""The labels that the new version has and the serving one doesn't."""

from collections import Counter

import numpy as np

from app.jobs.comparison import NewLabel, PredictedLabel
from training.comparison.disagreements import Predicted
from training.comparison.photos import ComparedPhotos
from training.contracts import Integers

_MOST = 5
"""Labels of the serving version that are listed for one new label."""


def new_labels(
    read: ComparedPhotos, rows: Integers, serving: Predicted, candidate: Predicted
) -> list[NewLabel]:
    """Return the new version's share of right photos for each, and what the serving one says.

    Args:
        read: the photos.
        rows: those (M,) that both versions predicted.
        serving: its labels for them.
        candidate: its labels for them.
    """
    names = [label for label in candidate.labels if label not in serving.labels]
    has = read.matrix_of(names)[rows]
    found = []
    for column, label in enumerate(names):
        own = np.flatnonzero(has[:, column])
        right = candidate.accepted[own, list(candidate.labels).index(label)]
        counts = Counter(name for row in own.tolist() for name in serving.names(row))
        found.append(
            NewLabel(
                label=label,
                photos=len(own),
                candidate=float(right.mean()) if len(own) else None,
                serving_predicts=[
                    PredictedLabel(label=name, share=count / len(own))
                    for name, count in counts.most_common(_MOST)
                ],
            )
        )
    return found
