"""Write the report of `hubel evaluate --report`: a bundle's predictions on labelled photos."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Metrics
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
    report.write(_content(model, measured, data, limits), folder)


def _content(
    model: Model, measured: ModelOutputs, data: Path, limits: vision.Limits
) -> report.Content:
    result = measure.single_label_figures(model, measured)
    name, precision = printable(data.resolve().name), model.session.precision
    figures = Metrics(
        top1=result.top1, top5=result.top5, ece=result.ece, images=result.images, on=name
    )

    view = vision.view_of(model.manifest.input)

    def thumbnail(index: int) -> NDArray[np.uint8]:
        picture = vision.decode(measured.photos[index].path.read_bytes(), limits, view)
        return picture.in_proportion(picture.canvas)

    return report.Content(
        manifest=model.manifest,
        measured_on=name,
        figures={precision: figures},
        truth=measured.truth,
        probabilities={precision: measured.probabilities},
        names=[name_below(photo.path, data) for photo in measured.photos],
        thumbnails=thumbnail,
        uncalibrated=_uncalibrated(model, measured),
        scores=_scores(model, measured),
        unusable=[
            f"{printable(os.path.relpath(failure['path'], data))} ({failure['error']})"
            for failure in measured.failed
        ],
    )


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
