"""Groups of photos that aren't independent: they look the same, or a table puts them together.

    near duplicates, and the column `group` of labels.csv -> a number for each photo

Photos of one group are in one part of the split and in one fold, and count once where photos must
be independent.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.errors import DataUnusable

Integers = NDArray[np.intp]
_MIN_GROUPS = 2
"""Groups of each class in train and val, so that a fold can be left out."""
_SHOWN = 4


def joined(look_the_same: Integers, names: Sequence[str]) -> Integers:
    """Return a number for each photo, (N,): the same for photos that are connected.

    Two photos are connected if they look the same, or if they have the same name of a group, or
    both with a third one.

    Args:
        look_the_same: (N,) the same number for photos that look the same.
        names: the name of each photo's group; empty: none.
    """
    if not any(names):
        return look_the_same
    number_of: dict[str, int] = {}
    parent = {number: number for number in look_the_same.tolist()}

    def first_of(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, name in zip(look_the_same.tolist(), names, strict=True):
        if name:
            one, other = sorted((first_of(number), first_of(number_of.setdefault(name, number))))
            parent[other] = one
    return np.array([first_of(number) for number in look_the_same.tolist()], np.intp)


def whole_groups(mask: NDArray[np.bool_], groups: Integers) -> NDArray[np.bool_]:
    """Return which photos, (N,), are in `mask` or in one group with a photo of it.

    Args:
        mask: (N,).
        groups: (N,) a number for each photo, the same within a group.
    """
    return np.isin(groups, groups[mask])


def require_spread(
    truth: NDArray[np.bool_], is_train: NDArray[np.bool_], groups: Integers, labels: Sequence[str]
) -> None:
    """Reject groups that leave a class or a label out of train, or in one group of it.

    Args:
        truth: (N, K) whether each photo is of each class.
        is_train: (N,) whether each photo is in train or val.
        groups: (N,) a number for each photo, the same within a group.
        labels: the names of the classes.

    Raises:
        DataUnusable: there is such a class.
    """
    counts = [len(np.unique(groups[is_train & truth[:, index]])) for index in range(len(labels))]
    few = [label for label, count in zip(labels, counts, strict=True) if count < _MIN_GROUPS]
    if few:
        more = f" and {len(few) - _SHOWN} more" if len(few) > _SHOWN else ""
        raise DataUnusable(
            f"The photos of {', '.join(few[:_SHOWN])}{more} are in too few groups: training needs "
            "two of each at least, beside those for test. Divide the groups in the column group "
            "of the table, or add photos of others."
        )
