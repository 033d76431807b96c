"""Read the photos of a comparison: the labels, the pixels of each input, and what looks the same.

DATA -> files with their labels        data.layout
     -> photos, pixels                 data.photos
     -> one number for photos that look the same, or that a table puts together
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import InputSpec, Task
from app.bundle.photo_record import DIGITS
from app.dataset.label_table import Form
from app.dataset.split_names import Part
from app.errors import InputError
from training.contracts import Integers, ReportProgress
from training.data import duplicates, examine, groups, layout
from training.data.photos import LIMITS, Photo, read_photos, read_rows
from training.errors import DataUnusable

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pixels:
    """The photos as one input reads them."""

    pixels: NDArray[np.uint8]
    """(R, H, W, 3) RGB."""
    rows: Integers
    """(N,) the row of each photo."""


@dataclass(frozen=True, eq=False)
class ComparedPhotos:
    """N photos with their labels."""

    task: Task
    photos: Sequence[Photo]
    labels: tuple[str, ...]
    """All labels that occur, sorted."""
    label_matrix: Mask
    """(N, K) whether each photo has each label."""
    groups: Integers
    """(N,) the same number for photos that aren't independent."""
    pixels: Mapping[InputSpec, Pixels]

    @property
    def digits(self) -> list[str]:
        """The first digits of each photo's sha256."""
        return [photo.sha256[:DIGITS] for photo in self.photos]

    def matrix_of(self, labels: Sequence[str]) -> Mask:
        """Return whether each photo has each of `labels`, (N, len(labels))."""
        matrix = np.zeros((len(self.photos), len(labels)), bool)
        place = {label: index for index, label in enumerate(self.labels)}
        for column, label in enumerate(labels):
            if label in place:
                matrix[:, column] = self.label_matrix[:, place[label]]
        return matrix

    def picture(self, index: int, spec: InputSpec) -> NDArray[np.uint8] | None:
        """Return what an input reads of a photo, in proportion, uint8 RGB (h, w, 3)."""
        try:
            data = self.photos[index].file.path.read_bytes()
            picture = vision.decode(data, LIMITS, vision.view_of(spec))
        except (OSError, InputError):
            return None
        return picture.in_proportion(picture.canvas)


def read(
    data: Path,
    specs: Sequence[InputSpec],
    task: Task,
    temporary: Path,
    report_progress: ReportProgress,
    labels_from: Form | None = None,
    split: Mapping[str, Part] | None = None,
) -> ComparedPhotos:
    """Read the photos of DATA, of which copies count once.

    Args:
        data: the folder, as `hubel train` reads it. The parts of a given split don't matter.
        specs: the inputs of the versions.
        task: the task of the versions.
        temporary: an empty folder that holds the pixels.
        report_progress: called with a line where photos are skipped.
        labels_from: where the labels come from; None: labels.csv if there is one, else folders.
        split: the part that each folder of DATA holds, as in training.

    Raises:
        DataUnusable: there are no photos, or their labels can't be read.
    """
    dataset = layout.scan_folder(data, labels_from, split, task)
    if not dataset.files:
        raise layout.no_classes(data)
    first, *others = dict.fromkeys(specs)
    found, unusable, (pixels,) = read_photos(dataset.files, [first], temporary)
    if unusable:
        report_progress(
            f"{len(unusable)} photos can't be used; the first, {unusable[0].file.name}: "
            f"{unusable[0].reason}"
        )
    if not found:
        raise DataUnusable(f"None of the photos of {data} can be used. Name a folder of photos.")
    alike = duplicates.find(found, pixels)
    kept = examine.used(found, alike)
    photos = [found[index] for index in kept]
    by_input = {first: Pixels(pixels, np.array([photo.row for photo in photos], np.intp))}
    for place, spec in enumerate(others):
        file = temporary / f"other-{place}.npy"
        rows = read_rows([photo.file.path for photo in photos], spec, file, "reading photos")
        by_input[spec] = Pixels(rows, np.arange(len(photos)))
    labels = dataset.labels
    return ComparedPhotos(
        task=task,
        photos=photos,
        labels=labels,
        label_matrix=_matrix(photos, labels, task),
        groups=groups.joined(alike.group_of[kept], [photo.file.group for photo in photos]),
        pixels=by_input,
    )


def _matrix(photos: Sequence[Photo], labels: Sequence[str], task: Task) -> Mask:
    place = {label: index for index, label in enumerate(labels)}
    matrix = np.zeros((len(photos), len(labels)), bool)
    for row, photo in enumerate(photos):
        names = photo.file.labels if task == "multi_label" else (photo.file.label,)
        matrix[row, [place[name] for name in names]] = True
    return matrix
