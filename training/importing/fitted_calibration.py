"""Fit the calibration of an imported model on labelled photos, and put it into its graph.

one label        logits -> temperature, cross-fitted                    calibration
several labels   probabilities -> scale, offset and threshold of each   label_decisions
"""

import onnx

from app.bundle import Calibration
from app.runtime.session import Session
from training import calibration
from training.calibration import Temperatures
from training.errors import DataUnusable
from training.importing import label_decisions, wrap
from training.importing.exported import logits_of
from training.importing.import_run import ImportRun
from training.importing.label_decisions import LabelDecisions
from training.importing.labelled_photos import LabelledPhotos
from training.importing.wrap import Wrapped
from training.packaging import measure

_MIN_PHOTOS = 10
"""At least this many photos, so that each of the five folds has two."""


def fit_temperature(
    run: ImportRun, measured: LabelledPhotos, wrapped: Wrapped, fp32: Session
) -> tuple[Session, Temperatures, Calibration]:
    """Fit the temperature, and put it into the graph."""
    name, truth = measured.examples.data_name, measured.truth
    _require_enough(measured, "a temperature")
    logits = logits_of(measured.run(fp32))
    temperatures = calibration.cross_fit(logits, truth, run.arguments.seed)
    wrap.set_temperature(wrapped.model, temperatures.of_all_photos)
    onnx.save(wrapped.model, run.file)
    figures = measure.cross_fitted(logits, truth, temperatures, name)
    run.report_progress(
        f"temperature {temperatures.of_all_photos:.3f}: ECE {figures.ece_before:.3f} before, "
        f"{figures.ece_after:.3f} after, cross-fitted on {figures.images} photos"
    )
    return Session(run.file, "cpu", "fp32"), temperatures, figures


def calibrate_labels(
    run: ImportRun, measured: LabelledPhotos, wrapped: Wrapped, fp32: Session
) -> tuple[Session, LabelDecisions]:
    """Fit each label's scale, offset and threshold, and put the first two into the graph."""
    _require_enough(measured, "a calibration")
    name, seed = measured.examples.data_name, run.arguments.seed
    decisions = label_decisions.fit(measured.run(fp32), measured.label_matrix, name, seed)
    assert decisions.calibration is not None
    assert decisions.figures is not None
    wrap.set_label_calibration(wrapped.model, decisions.calibration)
    onnx.save(wrapped.model, run.file)
    figures = decisions.figures
    run.report_progress(
        f"labels calibrated: mean ECE {figures.ece_before:.3f} before, {figures.ece_after:.3f} "
        f"after, cross-fitted on {figures.images} photos; thresholds for the best F1"
    )
    return Session(run.file, "cpu", "fp32"), decisions


def _require_enough(measured: LabelledPhotos, what: str) -> None:
    count = len(measured.truth)
    if count < _MIN_PHOTOS:
        raise DataUnusable(
            f"{measured.examples.data_name} has {count} photos that can be used, and {what} needs "
            f"{_MIN_PHOTOS} at least. Add some, or leave --calibrate out."
        )
