"""Read a folder of labelled photos: the photos, their true classes and their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import InputSpec, Label, Task
from app.dataset.label_table import Form
from app.runtime.evaluation.labelled_folder import LabelledPhoto, labelled_photos
from app.runtime.session import Session
from training.contracts import ReportProgress
from training.data import label_sets
from training.data.examples import Examples
from training.data.layout import File, name_below, printable
from training.data.photos import read_photos
from training.errors import DataUnusable
from training.parallel import run_graph

MAX_PHOTOS = 10_000
"""The largest number of photos that are read from one folder."""


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos with a label, and their pixels."""

    examples: Examples
    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB; each photo has a row."""

    @property
    def truth(self) -> NDArray[np.intp]:
        """The class index of each photo, (N,)."""
        return self.examples.truth

    @property
    def label_matrix(self) -> NDArray[np.bool_]:
        """Whether each photo has each label, (N, K), of a multi-label model."""
        assert self.examples.label_matrix is not None
        return self.examples.label_matrix

    def only(self, selected: NDArray[np.bool_]) -> "LabelledPhotos":
        """Return the photos that are selected, (N,) of all; the pixels stay."""
        examples = self.examples
        matrix = examples.label_matrix
        fewer = replace(
            examples,
            photos=tuple(examples.photos[index] for index in np.flatnonzero(selected).tolist()),
            truth=examples.truth[selected],
            groups=examples.groups[selected],
            parts=examples.parts[selected],
            label_matrix=None if matrix is None else matrix[selected],
        )
        return replace(self, examples=fewer)

    def run(self, session: Session) -> NDArray[np.float32]:
        """Return probabilities (N, K)."""
        return self.outputs_of(session, ["probabilities"])[0]

    def outputs_of(self, session: Session, names: Sequence[str]) -> tuple[NDArray[np.float32], ...]:
        """Return the graph's outputs `names`, each (N, ...)."""
        rows = self.examples.rows.tolist()
        return run_graph(session, names, self.pixels, rows, f"running {session.precision}")


def read(
    data: Path,
    labels: tuple[Label, ...],
    spec: InputSpec,
    folder: Path,
    seed: int,
    report_progress: ReportProgress,
    task: Task = "single_label",
    labels_from: Form | None = None,
) -> LabelledPhotos:
    """Read the photos of `data` as a test split, which report and golden photos expect.

    Args:
        data: has a folder for each label, named by the label's name or id, or a labels.csv.
        labels: the labels of the model.
        spec: the input of the model.
        folder: an empty folder that holds the pixels.
        seed: selects 10,000 photos where there are more.
        report_progress: called with a line for each file that can't be used.
        task: the task of the model. For multi_label a photo may have any number of labels.
        labels_from: where the labels come from; None: labels.csv if there is one, else folders.

    Raises:
        BadParameter: a folder's name is no label, or there are no photos.
        DataUnusable: none of the photos can be used.
    """
    listed = labelled_photos(data, labels, labels_from, task=task)
    if len(listed) > MAX_PHOTOS:
        report_progress(
            f"{data.name}: only {MAX_PHOTOS} of {len(listed)} photos are used, drawn at random"
        )
        selected = np.random.default_rng(seed).permutation(len(listed))[:MAX_PHOTOS]
        listed = [listed[index] for index in np.sort(selected).tolist()]
    names = tuple(label.name for label in labels)
    files = [_file(photo, data, names) for photo in listed]
    photos, unusable, (pixels,) = read_photos(files, [spec], folder)
    for rejected in unusable:
        report_progress(f"{rejected.file.name} is skipped: {rejected.reason}")
    if not photos:
        raise DataUnusable(f"None of the photos of {data} can be used. Name a folder of photos.")
    matrix = label_sets.matrix_of(photos, names)
    is_multi_label = task == "multi_label"
    truth = label_sets.strata(matrix) if is_multi_label else matrix.argmax(axis=1)
    count, name = len(photos), data.resolve().name
    examples = Examples(
        name,
        names,
        tuple(photos),
        truth,
        np.arange(count),
        np.full(count, "test"),
        matrix if is_multi_label else None,
    )
    return LabelledPhotos(examples, pixels)


def _file(photo: LabelledPhoto, data: Path, names: Sequence[str]) -> File:
    labels = tuple(sorted(names[index] for index in photo.indices))
    name = name_below(photo.path, data)
    return File(photo.path, name, "; ".join(labels), None, labels, printable(photo.group))
