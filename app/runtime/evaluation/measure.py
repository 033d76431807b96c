"""The evaluation of a model on labelled photos.

folder -> `labelled_photos` -> `measure` -> `figures`

The folder has one subfolder per class, named by the label or its id. If it is split into parts,
`test/` is measured, else `val/`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Label
from app.errors import BadParameter, HubelError, ModelOutputInvalid
from app.runtime.bulk import classify_files, photos_below
from app.runtime.classifier import Query
from app.runtime.engine import Engine
from app.runtime.evaluation import accuracy
from app.runtime.evaluation.calibration_error import calibration_error
from app.runtime.evaluation.interval import interval
from app.runtime.loaded_model import Model

_PARTS = ("test", "val", "validation", "valid")
"""Folders that hold a part of a split, in order of preference."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and the index of its true label."""

    path: Path
    index: int


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """The outputs of a model for T photos, without those that can't be used."""

    photos: list[LabelledPhoto]
    probabilities: NDArray[np.float32]
    """(T, K)."""
    familiarity: NDArray[np.float64] | None
    """(T,); None if the model's out-of-distribution threshold does not use it."""
    failed: list[dict[str, str]]
    """path and error of every photo without a result."""

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
    top1_interval: list[float]
    """Lower and upper limit of the 95 % confidence interval of top-1 (Clopper and Pearson)."""
    top5: float
    ece: float
    """Expected calibration error of top-1, over 15 equal-width bins."""
    per_class: list[dict[str, Any]]
    """label, images, recall and precision of every class that occurs."""
    failed: list[dict[str, str]]
    """path and error of every photo without a result; no figure includes them."""


def labelled_photos(data: Path, labels: tuple[Label, ...]) -> list[LabelledPhoto]:
    """Return the photos below `data`, each with the index of its folder's label.

    Raises:
        BadParameter: a folder's name is no label, or there are no photos.
    """
    index_of = _indices(labels)
    parts = [data / part for part in _PARTS if _key(part) not in index_of]
    root = next((part for part in parts if part.is_dir()), data)
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    unknown = [folder.name for folder in folders if _key(folder.name) not in index_of]
    if unknown:
        raise BadParameter(
            f"{len(unknown)} folders of {root} aren't labels of this model, the first is "
            f"{unknown[0]!r}. Name each folder by a label or its id."
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
    """Return the class index by normalised label name or id; an id takes precedence over a name."""
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
    """Return the figures of `model` on `photos`; see `measure`."""
    return figures(model, measure(model, photos, limits, engine, progress))


def measure(
    model: Model,
    photos: list[LabelledPhoto],
    limits: vision.Limits,
    engine: Engine,
    progress: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> ModelOutputs:
    """Run `model` on `photos`.

    Args:
        model: a model in the precision to measure.
        photos: at least one.
        limits: the largest photo that is decoded.
        engine: the engine that runs the work.
        progress: wraps the iterator of results, to show progress.

    Raises:
        BadParameter: none of the photos can be used.
        ModelOutputInvalid: none has a result, and for one the model returned NaN or infinity.
    """
    results = classify_files((p.path for p in photos), model, Query(top_k=1), limits, engine)
    usable, probabilities, scores, failed = [], [], [], []
    invalid: ModelOutputInvalid | None = None
    for photo, (path, result) in zip(photos, progress(results), strict=True):
        if isinstance(result, HubelError):
            failed.append({"path": str(path), "error": str(result)})
            if isinstance(result, ModelOutputInvalid):
                invalid = invalid or result
            continue
        usable.append(photo)
        probabilities.append(result.probabilities)
        if result.familiarity is not None:
            scores.append(result.familiarity)
    if not usable and invalid is not None:
        raise invalid
    if not usable:
        raise BadParameter(f"None of the photos can be used; the first: {failed[0]['error']}")
    return ModelOutputs(
        usable, np.stack(probabilities), np.array(scores) if scores else None, failed
    )


def figures(model: Model, outputs: ModelOutputs) -> Evaluation:
    """Return accuracy and calibration error of a model's outputs, in all and by class."""
    probabilities, truth = outputs.probabilities, outputs.truth
    labels = model.manifest.labels
    top1 = accuracy.top_k_accuracy(probabilities, truth, 1)
    return Evaluation(
        model=model.name,
        version=model.version,
        precision=model.session.precision,
        images=len(truth),
        top1=top1,
        top1_interval=list(interval(top1, len(truth))),
        top5=accuracy.top_k_accuracy(probabilities, truth, 5),
        ece=calibration_error(probabilities, truth),
        per_class=[
            {"label": labels[each.index].name, **asdict(each)}
            for each in accuracy.per_class(probabilities, truth)
            if each.images
        ],
        failed=outputs.failed,
    )
