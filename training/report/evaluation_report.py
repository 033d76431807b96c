"""Write the report of `hubel evaluate --report`: a bundle's predictions on labelled photos."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Metrics, MultiLabelMetrics
from app.runtime.evaluation import measure
from app.runtime.evaluation.measure import ModelOutputs
from app.runtime.loaded_model import Model
from training import calibration, report
from training.data.layout import name_below, printable


def write(
    model: Model, measured: ModelOutputs, data: Path, limits: vision.Limits, folder: Path
) -> None:
    """Write the report into `folder`.

    Args:
        model: the model that was measured.
        measured: its predictions.
        data: the folder of the photos.
        limits: the limits of decoding.
        folder: may exist; its index.html is replaced.
    """
    make = _label_content if model.manifest.task == "multi_label" else _content
    report.write(make(model, measured, data, limits), folder)


def _content(
    model: Model, measured: ModelOutputs, data: Path, limits: vision.Limits
) -> report.Content:
    result = measure.single_label_figures(model, measured)
    name, precision = printable(data.resolve().name), model.session.precision
    figures = Metrics(
        top1=result.top1, top5=result.top5, ece=result.ece, images=result.images, on=name
    )

    return report.Content(
        manifest=model.manifest,
        measured_on=name,
        figures={precision: figures},
        truth=measured.truth,
        probabilities={precision: measured.probabilities},
        names=[name_below(photo.path, data) for photo in measured.photos],
        thumbnails=partial(_thumbnail, model, measured, limits),
        uncalibrated=_uncalibrated(model, measured),
        scores=_scores(model, measured),
        unusable=_unusable(measured, data),
    )


def _label_content(
    model: Model, measured: ModelOutputs, data: Path, limits: vision.Limits
) -> report.LabelContent:
    result = measure.multi_label_figures(model, measured)
    name, precision = printable(data.resolve().name), model.session.precision
    figures = MultiLabelMetrics(
        mean_average_precision=result.mean_average_precision,
        f1_micro=result.f1_micro,
        f1_macro=result.f1_macro,
        exact=result.exact,
        ece=result.ece,
        images=result.images,
        on=name,
    )
    return report.LabelContent(
        manifest=model.manifest,
        measured_on=name,
        figures={precision: figures},
        truth=measured.label_matrix,
        probabilities={precision: measured.probabilities},
        names=[name_below(photo.path, data) for photo in measured.photos],
        thumbnails=partial(_thumbnail, model, measured, limits),
        familiarity=measured.familiarity,
        unusable=_unusable(measured, data),
    )


def _thumbnail(
    model: Model, measured: ModelOutputs, limits: vision.Limits, index: int
) -> NDArray[np.uint8]:
    view = vision.view_of(model.manifest.input)
    picture = vision.decode(measured.photos[index].path.read_bytes(), limits, view)
    return picture.in_proportion(picture.canvas)


def _unusable(measured: ModelOutputs, data: Path) -> list[str]:
    return [
        f"{printable(os.path.relpath(failure['path'], data))} ({failure['error']})"
        for failure in measured.failed
    ]


def _uncalibrated(model: Model, measured: ModelOutputs) -> NDArray[np.float64] | None:
    """Return the probabilities (T, K) without the temperature; log(softmax) is the logits."""
    if (calibrated := model.manifest.calibration) is None:
        return None
    floor = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(measured.probabilities.astype(np.float64), floor))
    return calibration.softmax(logits * calibrated.temperature)


def _scores(model: Model, measured: ModelOutputs) -> NDArray[np.floating] | None:
    """Return the scores (T,) that the out-of-distribution threshold is compared with."""
    if (rule := model.manifest.unknown) is None:
        return None
    if rule.score == "max_probability":
        return np.asarray(measured.probabilities.max(axis=1))
    return measured.familiarity
