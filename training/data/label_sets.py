"""The labels of multi-label photos: any number for each photo.

photos -> the label matrix (N, K) -> labels with too few photos, with or without them
                                  -> a stratum for each photo, by which the photos are split
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.split_names import Part
from training.data.photos import Photo
from training.data.split import MIN_TRAIN, require_distinct
from training.errors import DataUnusable

Mask = NDArray[np.bool_]
Integers = NDArray[np.intp]
_SHOWN = 20


def matrix_of(photos: Sequence[Photo], labels: Sequence[str]) -> Mask:
    """Return whether each photo has each label, (N, K)."""
    index_of = {label: index for index, label in enumerate(labels)}
    matrix = np.zeros((len(photos), len(labels)), bool)
    for row, photo in enumerate(photos):
        matrix[row, [index_of[label] for label in photo.file.labels]] = True
    return matrix


def strata(matrix: Mask) -> Integers:
    """Return the stratum of each photo, (N,): the rarest of its labels; K for a photo without any.

    Photos are split stratum by stratum, so that rare labels are divided as evenly as frequent ones
    (the idea of Sechidis et al. 2011, "On the Stratification of Multi-label Data").
    """
    count = matrix.shape[1]
    rarity = matrix.sum(axis=0) + np.arange(count) / (count + 1)  # ties go to the first label
    ranked = np.where(matrix, rarity, np.inf)
    return np.asarray(np.where(matrix.any(axis=1), ranked.argmin(axis=1), count), np.intp)


def small_labels(
    matrix: Mask,
    groups: Integers,
    given: Sequence[Part | None],
    labels: Sequence[str],
    min_photos: int,
) -> dict[str, int]:
    """Return the labels that too few different photos have, or lack, each with that number.

    A label needs `min_photos` of both outside a given test/, and three of both outside a given
    val/.

    Args:
        matrix: (N, K).
        groups: (N,) the same number for photos that look the same.
        given: (N,) the part of a given split.
        labels: the names of the labels.
        min_photos: the number that is needed.
    """
    not_test = np.array([part != "test" for part in given], bool)
    in_train = np.array([part in (None, "train") for part in given], bool)
    small: dict[str, int] = {}
    for index, label in enumerate(labels):
        has = matrix[:, index]
        for mask, minimum in ((not_test, min_photos), (in_train, min(MIN_TRAIN, min_photos))):
            counts = [len(np.unique(groups[mask & side])) for side in (has, ~has)]
            if min(counts) < minimum:
                small[label] = min(*counts, small.get(label, counts[0]))
    return small


def require_enough(small: Mapping[str, int], labels: Sequence[str], min_photos: int) -> None:
    """Reject labels that can't be learnt; `small` is what `small_labels` found.

    Raises:
        DataUnusable: there is no label, two names differ in case alone, or a label has too few
            photos.
    """
    if not labels:
        raise DataUnusable("No photo has a label. Write labels into the column `labels`.")
    require_distinct(labels, "labels")
    if small:
        names = ", ".join(f"{label} ({count})" for label, count in list(small.items())[:_SHOWN])
        more = f" and {len(small) - _SHOWN} more" if len(small) > _SHOWN else ""
        raise DataUnusable(
            f"{len(small)} of {len(labels)} labels can't be learnt: {min_photos} different photos "
            f"with the label and as many without it are needed, {min(MIN_TRAIN, min_photos)} of "
            f"them outside a given val/ and test/: {names}{more}. Add photos, lower --min-photos, "
            "or leave such labels out with --skip-small."
        )
