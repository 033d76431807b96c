"""The evaluation of a model on labelled photos.

photos with their labels (labelled_folder) -> `measure` -> `figures`
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.errors import BadParameter, HubelError, ModelOutputInvalid
from app.runtime.accepted_labels import accepted_labels
from app.runtime.bulk import classify_files
from app.runtime.classifier import Query
from app.runtime.decision import accepted_rows
from app.runtime.engine import Engine
from app.runtime.evaluation import accuracy, label_figures
from app.runtime.evaluation.calibration_error import calibration_error
from app.runtime.evaluation.interval import interval
from app.runtime.evaluation.labelled_folder import LabelledPhoto
from app.runtime.evaluation.learnt import learnt_photos
from app.runtime.loaded_model import Model


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
        """(T,) class indices of a single-label model."""
        return np.array([photo.index for photo in self.photos], np.intp)

    @property
    def label_matrix(self) -> NDArray[np.bool_]:
        """(T, K) whether each photo has each label."""
        matrix = np.zeros(self.probabilities.shape, bool)
        for row, photo in enumerate(self.photos):
            matrix[row, list(photo.indices)] = True
        return matrix


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one set of photos."""

    model: str
    version: int
    precision: str
    images: int
    learnt: int | None
    """Photos that training used, other than as test photos; None: the bundle has no record."""
    top1: float
    top1_interval: list[float]
    """Lower and upper limit of the 95 % confidence interval of top-1 (Clopper and Pearson)."""
    top5: float
    ece: float
    """Expected calibration error of top-1, over 15 equal-width bins."""
    coverage: float | None
    """Share of the photos whose prediction is accepted; None: the model does not decide."""
    accepted_precision: float | None
    """Share of the accepted predictions that are right; None also if none is accepted."""
    promised_precision: float | None
    """The precision that the model promises; None: it promises nothing."""
    per_class: list[dict[str, Any]]
    """label, images, recall and precision of every class that occurs."""
    failed: list[dict[str, str]]
    """path and error of every photo without a result; no figure includes them."""


@dataclass(frozen=True)
class MultiLabelEvaluation:
    """The figures of one multi-label model on one set of photos."""

    model: str
    version: int
    precision: str
    images: int
    learnt: int | None
    """Photos that training used, as in `Evaluation`."""
    mean_average_precision: float
    f1_micro: float
    f1_macro: float
    exact: float
    """Share of the photos whose accepted labels are exactly the right ones."""
    exact_interval: list[float]
    """Lower and upper limit of its 95 % confidence interval (Clopper and Pearson)."""
    ece: float
    """The mean over the labels of the expected calibration error, over 15 equal-width bins."""
    per_label: list[dict[str, Any]]
    """label and its figures (`LabelFigures`), of every label."""
    failed: list[dict[str, str]]
    """path and error of every photo without a result; no figure includes them."""


def evaluate(
    model: Model,
    photos: list[LabelledPhoto],
    limits: vision.Limits,
    engine: Engine,
    progress: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Evaluation | MultiLabelEvaluation:
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


def figures(model: Model, outputs: ModelOutputs) -> Evaluation | MultiLabelEvaluation:
    """Return accuracy and calibration error of a model's outputs, in all and by label."""
    if model.manifest.task == "multi_label":
        return multi_label_figures(model, outputs)
    return single_label_figures(model, outputs)


def multi_label_figures(model: Model, outputs: ModelOutputs) -> MultiLabelEvaluation:
    """Return the figures of a multi-label model's outputs."""
    labels, truth = model.manifest.labels, outputs.label_matrix
    accepted = accepted_labels(outputs.probabilities, model.manifest)
    by_label = label_figures.per_label(outputs.probabilities, accepted, truth)
    overall = label_figures.overall(by_label, accepted, truth)
    return MultiLabelEvaluation(
        model=model.name,
        version=model.version,
        precision=model.session.precision,
        images=len(truth),
        learnt=learnt_photos(model.bundle, (photo.path for photo in outputs.photos)),
        **asdict(overall),
        exact_interval=list(interval(overall.exact, len(truth))),
        per_label=[{"label": labels[each.index].name, **asdict(each)} for each in by_label],
        failed=outputs.failed,
    )


def single_label_figures(model: Model, outputs: ModelOutputs) -> Evaluation:
    """Return the figures of a single-label model's outputs."""
    probabilities, truth = outputs.probabilities, outputs.truth
    labels, rule = model.manifest.labels, model.manifest.decision
    coverage, precision = _accepted(model, outputs)
    top1 = accuracy.top_k_accuracy(probabilities, truth, 1)
    return Evaluation(
        model=model.name,
        version=model.version,
        precision=model.session.precision,
        images=len(truth),
        learnt=learnt_photos(model.bundle, (photo.path for photo in outputs.photos)),
        top1=top1,
        top1_interval=list(interval(top1, len(truth))),
        top5=accuracy.top_k_accuracy(probabilities, truth, 5),
        ece=calibration_error(probabilities, truth),
        coverage=coverage,
        accepted_precision=precision,
        promised_precision=None if rule is None else rule.precision,
        per_class=[
            {"label": labels[each.index].name, **asdict(each)}
            for each in accuracy.per_class(probabilities, truth)
            if each.images
        ],
        failed=outputs.failed,
    )


def _accepted(model: Model, outputs: ModelOutputs) -> tuple[float | None, float | None]:
    """Return the share of accepted predictions, and the share of right ones among them."""
    manifest = model.manifest
    if manifest.unknown is None and manifest.decision is None:
        return None, None
    accepted = accepted_rows(outputs.probabilities, manifest, outputs.familiarity)
    right = outputs.probabilities.argmax(axis=1) == outputs.truth
    return float(accepted.mean()), float(right[accepted].mean()) if accepted.any() else None
