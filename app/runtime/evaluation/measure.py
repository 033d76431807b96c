"""How good a model is on labelled photos: folder -> labels -> `measure` -> `figures`.

DATA has one folder per class, named by the label or its id. Where it has `test/` or `val/` inside,
that part is measured.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Label
from app.errors import BadParameter, HubelError
from app.runtime.bulk import classify_files, photos_below
from app.runtime.classifier import Query
from app.runtime.engine import Engine
from app.runtime.evaluation import accuracy
from app.runtime.evaluation.calibration_error import calibration_error
from app.runtime.loaded_model import Model

_PARTS = ("test", "val", "validation", "valid")
"""Folders that hold a part of a split, the one to be measured on first."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and the index of the label that it should get."""

    path: Path
    index: int


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model gave for each of T photos, those left out that can't be used."""

    photos: list[LabelledPhoto]
    probabilities: NDArray[np.float32]
    """(T, K)."""
    familiarity: NDArray[np.float64] | None
    """(T,); None where the model's rule doesn't ask for it."""
    failed: list[dict[str, str]]
    """path and error of every photo that can't be used."""

    @property
    def truth(self) -> NDArray[np.intp]:
        """(T,) class indices."""
        return np.array([photo.index for photo in self.photos], np.intp)


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one set of photos."""

    model: str
    version: int
    precision: str
    images: int
    top1: float
    top5: float
    ece: float
    """Expected calibration error of top-1, over 15 equal-width bins."""
    per_class: list[dict[str, Any]]
    """label, images, recall and precision of every class that occurs."""
    failed: list[dict[str, str]]
    """path and error of every photo that can't be used; they count in no figure."""


def labelled_photos(data: Path, labels: tuple[Label, ...]) -> list[LabelledPhoto]:
    """The photos below `data`, each with the index of its folder's label.

    Raises:
        BadParameter: a folder's name is no label, or there are no photos.
    """
    index_of = _indices(labels)
    parts = [data / part for part in _PARTS if _key(part) not in index_of]
    root = next((part for part in parts if part.is_dir()), data)
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    strange = [folder.name for folder in folders if _key(folder.name) not in index_of]
    if strange:
        raise BadParameter(
            f"{len(strange)} folders of {root} are no labels of this model, the first is "
            f"{strange[0]!r}. Name each folder by a label or its id."
        )
    photos = [
        LabelledPhoto(path, index_of[_key(folder.name)])
        for folder in folders
        for path in photos_below(folder)
    ]
    if not photos:
        raise BadParameter(f"{root} has no photos in folders. Make one folder for each label.")
    return photos


def _indices(labels: tuple[Label, ...]) -> dict[str, int]:
    """Label names and ids, however they are spelt in a folder's name; ids count first."""
    by_name = {_key(label.name): index for index, label in enumerate(labels)}
    by_id = {_key(label.id): index for index, label in enumerate(labels) if label.id}
    return by_name | by_id


def _key(name: str) -> str:
    return name.replace("_", " ").casefold()


def evaluate(
    model: Model,
    photos: list[LabelledPhoto],
    limits: vision.Limits,
    engine: Engine,
    progress: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Evaluation:
    """The figures of `model` on `photos`; see `measure`."""
    return figures(model, measure(model, photos, limits, engine, progress))


def measure(
    model: Model,
    photos: list[LabelledPhoto],
    limits: vision.Limits,
    engine: Engine,
    progress: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Measured:
    """Run `model` on `photos`.

    Args:
        model: in the precision to be measured.
        photos: at least one.
        limits: what a photo may cost.
        engine: does the work.
        progress: is handed the outcomes and hands them on.

    Raises:
        BadParameter: none of the photos can be used.
    """
    answers = classify_files((p.path for p in photos), model, Query(top_k=1), limits, engine)
    usable, probabilities, scores, failed = [], [], [], []
    for photo, (path, outcome) in zip(photos, progress(answers), strict=True):
        if isinstance(outcome, HubelError):
            failed.append({"path": str(path), "error": str(outcome)})
            continue
        usable.append(photo)
        probabilities.append(outcome.probabilities)
        if outcome.familiarity is not None:
            scores.append(outcome.familiarity)
    if not usable:
        raise BadParameter(f"None of the photos can be used; the first: {failed[0]['error']}")
    return Measured(usable, np.stack(probabilities), np.array(scores) if scores else None, failed)


def figures(model: Model, measured: Measured) -> Evaluation:
    """How good that is."""
    table, wanted = measured.probabilities, measured.truth
    labels = model.manifest.labels
    return Evaluation(
        model=model.name,
        version=model.version,
        precision=model.session.precision,
        images=len(wanted),
        top1=accuracy.top_k_accuracy(table, wanted, 1),
        top5=accuracy.top_k_accuracy(table, wanted, 5),
        ece=calibration_error(table, wanted),
        per_class=[
            {"label": labels[each.index].name, **asdict(each)}
            for each in accuracy.per_class(table, wanted)
            if each.images
        ],
        failed=measured.failed,
    )
