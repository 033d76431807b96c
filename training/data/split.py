"""Split photos into train, val and test, and into the folds of a cross-validation.

Photos that look alike stay together, each class is split by itself, and a seed fixes the order.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.split_names import PARTS, Part
from training.errors import DataUnusable

SHARES: dict[Part, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
MAX_VAL = 2500
"""Photos of val at most: enough to select and calibrate by; more are better used in train."""
FOLDS = 5
MIN_PHOTOS = 5
"""Different photos of every class outside a given test/: three for train, and one each for val and
test."""
MIN_TRAIN = 3
"""Different photos of every class in train/ of a given split."""

_SHOWN = 20
_SEVERAL = -1
"""Stands for the classes of a group that has several."""

Integers = NDArray[np.intp]


def split_by_groups(
    truth: Integers,
    groups: Integers,
    shares: Sequence[float],
    seed: int,
    kept: Integers | None = None,
) -> Integers:
    """Divide photos into parts of these shares; return the part of each photo, (N,).

    The groups of one class are taken largest first, in a random order among equals. Each goes to
    the part that is furthest below its share. This is the method of Sainte-Laguë for seats in a
    parliament: five photos become 3, 1, 1 by 70/15/15. Groups with photos of several classes come
    first; theirs is the part that is furthest below, on the mean of the classes.

    Args:
        truth: (N,) class indices.
        groups: (N,) numbers; photos with the same number stay together.
        shares: the share of each part; their sum may be anything.
        seed: fixes the order.
        kept: (N,) the part that a photo and its group go to, and count for before the others; the
            first of several; -1: any. None: any for all.
    """
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups.tolist()):
        members[group].append(index)
    due = np.array(shares) / sum(shares)
    part_of = np.empty(len(truth), np.intp)
    rng = np.random.default_rng(seed)
    groups_of: defaultdict[int, list[list[int]]] = defaultdict(list)
    labels = truth.tolist()
    totals = np.bincount(truth)
    has = np.zeros((len(totals), len(due)))
    for group in members.values():
        if kept is not None and (chosen := kept[group][kept[group] >= 0]).size:
            part_of[group] = part = int(chosen.min())
            has[:, part] += np.bincount(truth[group], minlength=len(totals))
            continue
        classes = {labels[index] for index in group}
        groups_of[classes.pop() if len(classes) == 1 else _SEVERAL].append(group)
    for label, of_class in sorted(groups_of.items()):
        order = sorted(rng.permutation(len(of_class)), key=lambda place: -len(of_class[place]))
        for place in order:
            group = of_class[place]
            if label == _SEVERAL:
                counts = np.bincount(truth[group], minlength=len(totals))
                present = np.flatnonzero(counts)
                weights = counts[present] / totals[present]
                part = int((weights @ ((has[present] + 0.5) / due)).argmin())
                has[:, part] += counts
            else:
                part = int(((has[label] + 0.5) / due).argmin())
                has[label, part] += len(group)
            part_of[group] = part
    return part_of


def folds(truth: Integers, groups: Integers, seed: int) -> Integers:
    """Return the fold of each photo, (N,), for a cross-validation."""
    return split_by_groups(truth, groups, [1.0] * FOLDS, seed)


def folds_of_classes(truth: Integers, groups: Integers, seed: int) -> Integers:
    """Return the fold of each photo, (N,); every class remains without any of the folds.

    Raises:
        DataUnusable: all photos of a class are in one fold, because they are in one group.
    """
    fold_of = folds(truth, groups, seed)
    counts = np.zeros((truth.max() + 1, FOLDS), np.intp)
    np.add.at(counts, (truth, fold_of), 1)
    if ((counts > 0).sum(axis=1) == 1).any():
        raise DataUnusable(
            "A class has all its training photos in one group, or in groups that can't be "
            "separated. Divide the groups in the column group of the table."
        )
    return fold_of


def split(
    truth: Integers,
    groups: Integers,
    given: Sequence[Part | None],
    seed: int,
    earlier: Sequence[Part | None] | None = None,
) -> list[Part]:
    """Return the part of each photo: the given one, or for missing parts a part split off train.

    Photos of a given val or test stay there.

    Args:
        truth: (N,) class indices.
        groups: (N,) numbers; photos with the same number stay together.
        given: the part that the data give each photo; None: any.
        seed: fixes the order.
        earlier: the part of each photo in an earlier split, which is kept; a group that was in
            several goes to the first, train or val; None: it is new.

    Raises:
        DataUnusable: the photos that keep their part leave none for another part.
    """
    missing: tuple[Part, ...] = tuple(part for part in PARTS if part not in given)
    open_ = np.array([part in (None, "train") for part in given])
    parts: list[Part] = [part or "train" for part in given]
    choices: tuple[Part, ...] = ("train", *(part for part in missing if part != "train"))
    shares = _shares(choices, int(open_.sum()))
    kept = None
    if earlier is not None:
        place = {part: index for index, part in enumerate(choices)}
        every = np.array([-1 if part is None else place.get(part, -1) for part in earlier], np.intp)
        kept = every[open_]
    dealt = split_by_groups(truth[open_], groups[open_], shares, seed, kept)
    keeping = 0 if kept is None else int((kept >= 0).sum())
    if keeping and (empty := set(range(len(choices))) - set(dealt.tolist())):
        raise DataUnusable(
            f"No photo is left for {choices[max(empty)]}: {keeping} of {len(dealt)} photos keep "
            "the part that they had in the bundle of --split-of. Add photos that it wasn't trained "
            "on, or leave --split-of out."
        )
    for index, part in zip(np.flatnonzero(open_).tolist(), dealt.tolist(), strict=True):
        parts[index] = choices[part]
    return parts


def _shares(parts: Sequence[Part], photos: int) -> list[float]:
    shares = {part: SHARES[part] / sum(SHARES[other] for other in parts) for part in parts}
    if "val" in shares and shares["val"] * photos > MAX_VAL:
        shares["train"] += shares["val"] - MAX_VAL / photos
        shares["val"] = MAX_VAL / photos
    return [shares[part] for part in parts]


def require_enough(
    truth: Integers,
    groups: Integers,
    given: Sequence[Part | None],
    labels: Sequence[str],
    min_photos: int = MIN_PHOTOS,
) -> None:
    """Reject classes that can't be learnt.

    Raises:
        DataUnusable: there is only one class, two names differ in case alone, or a class has too
            few different photos.
    """
    if len(labels) <= 1:
        raise DataUnusable(
            "A classifier needs two classes at least"
            f"{f', and there is only {labels[0]!r}' if labels else ''}. "
            "Make a folder of photos for each class, or name two in the table of labels."
        )
    require_distinct(labels, "classes")
    if small := small_classes(truth, groups, given, labels, min_photos):
        names = ", ".join(f"{label} ({count})" for label, count in list(small.items())[:_SHOWN])
        more = f" and {len(small) - _SHOWN} more" if len(small) > _SHOWN else ""
        raise DataUnusable(
            f"{len(small)} of {len(labels)} classes have too few usable photos that differ, of "
            f"which {min_photos} are needed, {min(MIN_TRAIN, min_photos)} of them outside a given "
            f"val/ and test/: {names}{more}. Add photos, lower --min-photos, or leave such classes "
            "out with --skip-small."
        )


def require_distinct(labels: Sequence[str], unit: str) -> None:
    """Reject names that differ in case alone, which a bundle can't have.

    Args:
        labels: the names.
        unit: what they are the names of: "classes" or "labels".

    Raises:
        DataUnusable: there are some.
    """
    folded = Counter(label.casefold() for label in labels)
    if twins := [repr(label) for label in labels if folded[label.casefold()] > 1]:
        raise DataUnusable(
            f"The {unit} {', '.join(twins)} differ in case alone, and case is ignored in their "
            "names. Merge them, or rename one."
        )


def small_classes(
    truth: Integers,
    groups: Integers,
    given: Sequence[Part | None],
    labels: Sequence[str],
    min_photos: int,
) -> dict[str, int]:
    """Return the classes that have too few different photos, each with its number of them.

    A class needs `min_photos` outside a given test/, and three of them outside a given val/.
    """
    not_test = np.array([part != "test" for part in given], bool)
    in_train = np.array([part in (None, "train") for part in given], bool)
    classes_of: defaultdict[int, set[int]] = defaultdict(set)
    for group, index in zip(groups.tolist(), truth.tolist(), strict=True):
        classes_of[group].add(index)
    small: dict[str, int] = {}
    for index, label in enumerate(labels):
        for mask, minimum in ((not_test, min_photos), (in_train, min(MIN_TRAIN, min_photos))):
            groups_of_class = set(groups[mask & (truth == index)].tolist())
            differing = sum(classes_of[group] == {index} for group in groups_of_class)
            if differing < minimum:
                small[label] = min(differing, small.get(label, differing))
    return small
