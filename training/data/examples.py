"""The photos of a training run, each with its class and its part of the split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle.photo_record import DIGITS, RecordedPart
from training.data import examine, groups, label_sets, split
from training.data.duplicates import Duplicates
from training.data.layout import Dataset, Part
from training.data.photos import Photo
from training.errors import DataUnusable

_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Examples:
    """The photos in the order of their names, with class and part."""

    data_name: str
    """The data folder's name."""
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    truth: NDArray[np.intp]
    """(N,) indices into `labels`; of multi-label photos their strata, see data.label_sets."""
    groups: NDArray[np.intp]
    """(N,) a number for each photo, the same for photos that look the same or belong together by a
    table, see data.groups."""
    parts: NDArray[np.str_]
    """(N,) train, val or test."""
    label_matrix: NDArray[np.bool_] | None = None
    """(N, K) whether each photo has each label; None if each has exactly one."""

    @property
    def rows(self) -> NDArray[np.intp]:
        """The row of each photo in the pixels, (N,)."""
        return np.array([photo.row for photo in self.photos], np.intp)

    def indices_of(self, *parts: Part) -> NDArray[np.intp]:
        """Return the indices of the photos of these parts."""
        return np.flatnonzero(np.isin(self.parts, parts))


def small_classes(
    dataset: Dataset, photos: Sequence[Photo], duplicates: Duplicates, min_photos: int
) -> dict[str, int]:
    """Return the classes with fewer different photos than `min_photos`, each with their number."""
    kept, truth, given_parts = _kept(dataset, photos, duplicates)
    look_the_same = duplicates.group_of[kept]
    if dataset.task == "multi_label":
        matrix = label_sets.matrix_of([photos[index] for index in kept], dataset.labels)
        return label_sets.small_labels(
            matrix, look_the_same, given_parts, dataset.labels, min_photos
        )
    return split.small_classes(truth, look_the_same, given_parts, dataset.labels, min_photos)


def select_and_split(
    dataset: Dataset,
    photos: Sequence[Photo],
    duplicates: Duplicates,
    seed: int,
    min_photos: int = split.MIN_PHOTOS,
    earlier: Mapping[str, RecordedPart] | None = None,
) -> Examples:
    """Leave out the photos that training must not use, and split the rest.

    Args:
        dataset: the files.
        photos: those that can be used.
        duplicates: which of them look the same.
        seed: fixes the split.
        min_photos: different photos that each class must have.
        earlier: the part of each photo in an earlier training, by the first digits of its sha256;
            it is kept.

    Raises:
        DataUnusable: too few photos are left.
    """
    kept, truth, given_parts = _kept(dataset, photos, duplicates)
    selected = tuple(photos[index] for index in kept)
    look_the_same = duplicates.group_of[kept]
    labels, matrix = dataset.labels, None
    if dataset.task == "multi_label":
        matrix = label_sets.matrix_of(selected, labels)
        small = label_sets.small_labels(matrix, look_the_same, given_parts, labels, min_photos)
        label_sets.require_enough(small, labels, min_photos)
        truth = label_sets.strata(matrix)
    else:
        _require_other_classes(dataset)
        split.require_enough(truth, look_the_same, given_parts, labels, min_photos)
    names = [photo.file.group for photo in selected]
    joined = groups.joined(look_the_same, names)
    parts = np.array(split.split(truth, joined, given_parts, seed, _earlier(selected, earlier)))
    if not (parts == "test").any():
        raise DataUnusable("test/ has no photos to measure on. Add some, or remove the folder.")
    if any(names):
        has = np.eye(len(labels), dtype=bool)[truth] if matrix is None else matrix
        groups.require_spread(has, parts != "test", joined, labels)
    return Examples(dataset.name, labels, selected, truth, joined, parts, matrix)


def _earlier(
    photos: Sequence[Photo], record: Mapping[str, RecordedPart] | None
) -> list[Part | None] | None:
    """Return the part of each photo in an earlier training; None for one that is new."""
    if record is None:
        return None
    found = (record.get(photo.sha256[:DIGITS]) for photo in photos)
    return [part if part in ("train", "val", "test") else None for part in found]


def _require_other_classes(dataset: Dataset) -> None:
    """Reject a single class with folders, which may be the classes, or with photos of none."""
    labels = dataset.labels
    if len(labels) == 1 and dataset.without_label:
        raise DataUnusable(
            f"There is only the label {labels[0]!r}, and the table gives {dataset.without_label} "
            f"photos no label. If {labels[0]!r} is on none of these, add --task multi_label, which "
            "also learns from them; else give them a label."
        )
    if len(labels) == 1 and len(dataset.nested) > 1:
        raise DataUnusable(
            f"There is only the class {labels[0]!r}, and it has folders: "
            f"{', '.join(dataset.nested[:_SHOWN])}. If these are the classes, name the folder "
            "that holds them; else make a folder for each class."
        )


def _kept(
    dataset: Dataset, photos: Sequence[Photo], duplicates: Duplicates
) -> tuple[list[int], NDArray[np.intp], list[Part | None]]:
    """Return the photos that are used, with the class and the given part of each."""
    kept = examine.used(photos, duplicates)
    index_of = {label: index for index, label in enumerate(dataset.labels)}
    truth = np.zeros(len(kept), np.intp)
    if dataset.task == "single_label":
        truth = np.array([index_of[photos[index].file.label] for index in kept], np.intp)
    return kept, truth, [photos[index].file.part for index in kept]
