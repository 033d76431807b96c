"""Which photos of a job go to the test split: the same ones at every retraining.

    a photo that the serving version knows -> the part that it had there
    a new photo                            -> by its sha256: a fifth of them, test
    a label with too few in the test split -> its new photos with the lowest sha256, test
    a group (the column group of labels.csv) -> as one photo, by the sha256 of its name

So a new version is compared with the serving one on photos that neither learnt from.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

SHARE = 0.2
_LEAST_SHARE = 0.1
"""The share of each label's photos that the test split gets at least."""
_DIGITS = 8
RECORDED_DIGITS = 16


def choose_test(
    labels: Mapping[str, Collection[str]],
    recorded: Mapping[str, str],
    min_photos: int,
    groups: Mapping[str, str] | None = None,
) -> set[str]:
    """Return the photos of the test split, by the digits of their sha256.

    Args:
        labels: the labels of each photo.
        recorded: the part of photos that the serving version knows, by the first 16 digits.
        min_photos: photos that each label keeps outside of the test split.
        groups: the group of each photo that has one; a group stays in one part.
    """
    units = _units(labels, recorded, groups or {})
    of_label: Counter[str] = Counter()
    for unit in units:
        of_label.update(unit.labels)
    spare = {label: photos - min_photos for label, photos in of_label.items()}
    test: set[str] = set()
    in_test: Counter[str] = Counter()

    def add(unit: _Unit) -> None:
        fits = all(spare[label] >= count for label, count in unit.labels.items())
        if fits and not test.issuperset(unit.photos):
            test.update(unit.photos)
            spare_less = {label: spare[label] - count for label, count in unit.labels.items()}
            spare.update(spare_less)
            in_test.update(unit.labels)

    for unit in sorted(units, key=lambda unit: (unit.part != "test", unit.digits)):
        if unit.part == "test" or (unit.part is None and _position(unit.digits) < SHARE):
            add(unit)
    for label, photos in sorted(of_label.items()):
        least = round(_LEAST_SHARE * photos) or 1
        for unit in units:
            if in_test[label] >= least:
                break
            if label in unit.labels and unit.part is None:
                add(unit)
    return test


@dataclass(frozen=True)
class _Unit:
    """A photo, or the photos of a group."""

    digits: str
    """Of a sha256: that of the photo, or of the group's name."""
    photos: Sequence[str]
    labels: Counter[str]
    """The number of its photos by label; "" for none."""
    part: str | None
    """The part that the serving version had it in; None: it is new there."""


def _units(
    labels: Mapping[str, Collection[str]], recorded: Mapping[str, str], groups: Mapping[str, str]
) -> list[_Unit]:
    together: defaultdict[str, list[str]] = defaultdict(list)
    for photo in sorted(labels):
        group = groups.get(photo)
        digits = photo if group is None else hashlib.sha256(group.encode()).hexdigest()
        together[digits].append(photo)
    units = []
    for digits, photos in sorted(together.items()):
        counts = Counter(label for photo in photos for label in labels[photo] or ("",))
        known = {recorded.get(photo[:RECORDED_DIGITS]) for photo in photos} - {None}
        learnt = sorted(part for part in known if part and part != "test")
        part = learnt[0] if learnt else "test" if known else None
        units.append(_Unit(digits, photos, counts, part))
    return units


def _position(digits: str) -> float:
    """Return where a photo or a group lies between 0 and 1, by its sha256."""
    return int(digits[:_DIGITS], 16) / float(16**_DIGITS)
