"""Select, write and record the golden photos of a bundle.

    photos of the test split -> at most six of up to six classes -> small JPEGs of what is read
    golden photos, sessions  -> golden/ in the bundle, with the probabilities of each graph

For up to six classes, the photo with the highest probability of its true class is selected, right
or wrong. Where there are few classes, a less confident one is added, because a confident prediction
hardly changes with a wrong kernel or resize.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import vision
from app.bundle import Golden, GoldenPhoto, InputSpec, Label, Precision
from app.runtime.session import Session
from training.data.examples import Examples
from training.data.photos import LIMITS, read_pixels
from training.gates import probabilities_of

TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "int8": 0.05}
"""Largest difference of a golden photo's probability on another machine; see
docs/decisions/calibration.md."""
_MAX_PHOTOS = 6
_LESS_CONFIDENT_TARGET = 0.9
"""The probability that the less confident photo of a class should be nearest to."""
_QUALITY = 88


def select(examples: Examples, probabilities: NDArray[np.floating]) -> list[int]:
    """Return the indices of at most six photos of the test split.

    Args:
        examples: with a test split.
        probabilities: (T, K) of the test split.
    """
    tested = examples.indices_of("test")
    classes = np.unique(examples.truth[tested])
    classes = classes[np.linspace(0, len(classes) - 1, min(_MAX_PHOTOS, len(classes))).astype(int)]
    selected: list[int] = []
    for label in classes:
        of_class = examples.truth[tested] == label
        indices, confidence = tested[of_class], probabilities[of_class, label]
        selected.append(int(indices[confidence.argmax()]))
        less_confident = int(indices[np.abs(confidence - _LESS_CONFIDENT_TARGET).argmin()])
        if 2 * len(classes) <= _MAX_PHOTOS and less_confident not in selected:
            selected.append(less_confident)
    return selected


def select_labels(examples: Examples, probabilities: NDArray[np.floating]) -> list[int]:
    """Return the indices of at most six multi-label photos of the test split.

    For up to five labels, the photo with the highest probability of the label that has it; where
    there are few labels, a less confident one, too; and the photo with the fewest labels.
    """
    assert examples.label_matrix is not None
    tested = examples.indices_of("test")
    matrix = examples.label_matrix[tested]
    labels = np.flatnonzero(matrix.any(axis=0))
    most = _MAX_PHOTOS - 1
    labels = labels[np.linspace(0, len(labels) - 1, min(most, len(labels))).astype(int)]
    selected: list[int] = []
    for label in labels:
        has = matrix[:, label]
        indices, confidence = tested[has], probabilities[has, label]
        ranked = [int(indices[confidence.argmax()])]
        if 2 * len(labels) <= most:
            ranked.append(int(indices[np.abs(confidence - _LESS_CONFIDENT_TARGET).argmin()]))
        selected += [index for index in ranked if index not in selected]
    fewest = int(tested[matrix.sum(axis=1).argmin()])
    return selected if fewest in selected else [*selected, fewest]


def write(
    examples: Examples, selected: Sequence[int], spec: InputSpec, folder: Path
) -> dict[str, str]:
    """Write the photos into a new folder; return the source of each by its file name.

    Where the model reads the whole photo, its proportions are kept: they verify `fit`.
    """
    folder.mkdir()
    sources = {}
    for number, index in enumerate(selected, 1):
        file = examples.photos[index].file
        picture = vision.decode(file.path.read_bytes(), LIMITS, vision.view_of(spec))
        small = Image.fromarray(picture.in_proportion(picture.canvas))
        name = f"{number}.jpg"
        small.save(folder / name, "JPEG", quality=_QUALITY, optimize=True)
        part = "its centre square" if spec.fit == "cover" else "the whole"
        sources[name] = f"{examples.data_name}/{file.name}, {part} at {small.width}x{small.height}"
    return sources


def record(
    folder: Path,
    files: Sequence[Path],
    sources: Mapping[str, str],
    sessions: Mapping[Precision, Session],
    labels: tuple[Label, ...],
    spec: InputSpec,
) -> Golden:
    """Copy the golden photos into the bundle's folder, with the probabilities of each graph.

    Args:
        folder: the folder of the bundle.
        files: the golden photos.
        sources: the source of each, by its file name.
        sessions: the graphs of the bundle.
        labels: the labels of the bundle.
        spec: the input of the graphs.
    """
    (folder / "golden").mkdir()
    for file in files:
        shutil.copyfile(file, folder / "golden" / file.name)
    pixels = read_pixels(files, spec)
    expected = {which: probabilities_of(session, pixels) for which, session in sessions.items()}
    for which, rows in expected.items():
        np.save(folder / "golden" / f"expected.{which}.npy", rows)
    return Golden(
        photos=tuple(
            GoldenPhoto(
                file=f"golden/{file.name}",
                label=labels[int(row.argmax())].name,
                source=sources[file.name],
                tolerance={which: TOLERANCE[which] for which in sessions},
            )
            for file, row in zip(files, expected["fp32"], strict=True)
        ),
        expected={which: f"golden/expected.{which}.npy" for which in sessions},
    )
