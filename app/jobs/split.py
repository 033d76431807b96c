"""Which photos of a job go to the test split: the same ones at every retraining.

    a photo that the serving version knows -> the part that it had there
    a new photo                            -> by its sha256: a fifth of them, test
    a label with too few in the test split -> its new photos with the lowest sha256, test

So a new version is compared with the serving one on photos that neither learnt from.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

SHARE = 0.2
_LEAST_SHARE = 0.1
"""The share of each label's photos that the test split gets at least."""
_DIGITS = 8
RECORDED_DIGITS = 16


def choose_test(
    labels: Mapping[str, Collection[str]], recorded: Mapping[str, str], min_photos: int
) -> set[str]:
    """Return the photos of the test split, by the digits of their sha256.

    Args:
        labels: the labels of each photo.
        recorded: the part of photos that the serving version knows, by the first 16 digits.
        min_photos: photos that each label keeps outside of the test split.
    """
    labels = {photo: names or ("",) for photo, names in labels.items()}  # none is one, too
    of_label: defaultdict[str, list[str]] = defaultdict(list)
    for photo in sorted(labels):
        for label in labels[photo]:
            of_label[label].append(photo)
    parts = {photo: recorded.get(photo[:RECORDED_DIGITS]) for photo in labels}
    spare = {label: len(photos) - min_photos for label, photos in of_label.items()}
    test: set[str] = set()

    def add(photo: str) -> None:
        if photo not in test and all(spare[label] > 0 for label in labels[photo]):
            test.add(photo)
            for label in labels[photo]:
                spare[label] -= 1

    for photo in sorted(labels, key=lambda photo: (parts[photo] != "test", photo)):
        if parts[photo] == "test" or (parts[photo] is None and _position(photo) < SHARE):
            add(photo)
    for _, photos in sorted(of_label.items()):
        missing = round(_LEAST_SHARE * len(photos)) or 1
        missing -= sum(photo in test for photo in photos)
        new = [photo for photo in photos if parts[photo] is None and photo not in test]
        for photo in new[: max(0, missing)]:
            add(photo)
    return test


def _position(photo: str) -> float:
    """Return where a photo lies between 0 and 1, by its sha256."""
    return int(photo[:_DIGITS], 16) / float(16**_DIGITS)
