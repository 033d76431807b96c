"""DATA, with a folder per label -> photos, their true classes and their pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import InputSpec, Label
from app.runtime.evaluation.measure import labelled_photos
from training.contracts import ReportProgress
from training.data.examples import Examples
from training.data.layout import File, name_below
from training.data.photos import read_photos
from training.errors import DataUnusable

MOST = 10_000
"""Photos that are read of one folder."""


def read(
    data: Path,
    labels: tuple[Label, ...],
    spec: InputSpec,
    folder: Path,
    seed: int,
    report_progress: ReportProgress,
) -> tuple[Examples, NDArray[np.uint8]]:
    """The photos of `data`, all of them test photos, and their pixels (R, S, S, 3) uint8 RGB.

    Args:
        data: with a folder for each label, called by its name or id.
        labels: of the model.
        spec: what it reads.
        folder: where the pixels are kept meanwhile.
        seed: chooses 10,000 photos where there are more.
        report_progress: is told what can't be used.

    Raises:
        BadParameter: a folder's name is no label, or there are no photos.
        DataUnusable: none of the photos can be used.
    """
    found = labelled_photos(data, labels)
    if len(found) > MOST:
        report_progress(f"{data.name}: {MOST} of its {len(found)} photos are used")
        selected = np.random.default_rng(seed).permutation(len(found))[:MOST]
        found = [found[index] for index in np.sort(selected).tolist()]
    names = tuple(label.name for label in labels)
    files = [
        File(photo.path, name_below(photo.path, data), names[photo.index], None) for photo in found
    ]
    photos, unusable, (pixels,) = read_photos(files, [spec], folder)
    for one in unusable:
        report_progress(f"{one.file.name} is passed over: {one.reason}")
    if not photos:
        raise DataUnusable(f"None of the photos of {data} can be used. Name a folder of photos.")
    index_of = {name: index for index, name in enumerate(names)}
    truth = np.array([index_of[photo.file.label] for photo in photos], np.intp)
    count = len(photos)
    parts = np.full(count, "test")
    name = data.resolve().name
    return Examples(name, names, tuple(photos), truth, np.arange(count), parts), pixels
