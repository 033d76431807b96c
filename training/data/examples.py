"""The photos of a training run, each with its class and its part of the split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import findings
from training.data.duplicates import Duplicates
from training.data.layout import Dataset, Part
from training.data.photos import Photo
from training.data.split import require_enough, split
from training.errors import DataUnusable


@dataclass(frozen=True, eq=False)
class Examples:
    """The photos in the order of their names, with class and part."""

    data_name: str
    """The data folder's name."""
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    truth: NDArray[np.intp]
    """(N,) indices into `labels`."""
    groups: NDArray[np.intp]
    """(N,) a number for each photo, the same for photos that look the same."""
    parts: NDArray[np.str_]
    """(N,) train, val or test."""

    @property
    def rows(self) -> NDArray[np.intp]:
        """The row of each photo in the pixels, (N,)."""
        return np.array([photo.row for photo in self.photos], np.intp)

    def indices_of(self, *parts: Part) -> NDArray[np.intp]:
        """Return the indices of the photos of these parts."""
        return np.flatnonzero(np.isin(self.parts, parts))


def select_and_split(
    dataset: Dataset, photos: Sequence[Photo], duplicates: Duplicates, seed: int
) -> Examples:
    """Leave out the photos that training must not use, and split the rest.

    Raises:
        DataUnusable: too few photos are left.
    """
    kept = findings.used(photos, duplicates)
    labels = dataset.labels
    truth = np.array([labels.index(photos[index].file.label) for index in kept], np.intp)
    groups = duplicates.group_of[kept]
    given_parts = [photos[index].file.part for index in kept]
    require_enough(truth, groups, given_parts, labels)
    parts = np.array(split(truth, groups, given_parts, seed))
    if not (parts == "test").any():
        raise DataUnusable("test/ has no photos to measure on. Add some, or remove the folder.")
    selected = tuple(photos[index] for index in kept)
    return Examples(dataset.name, labels, selected, truth, groups, parts)
