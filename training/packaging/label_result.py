"""Export a multi-label result of a recipe into the bundle's folder, and measure it.

    graph -> model.onnx -> compared with the reference predictions       gates; a miss ends it
          -> model.int8.onnx                                             left out on a missed gate
          -> predictions on the test split: figures, golden photos, baseline, report

It is packaging.recipe_result for photos with a label matrix. Nothing was fitted on the test split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app import vision
from app.bundle import (
    MODEL_FILES,
    Baseline,
    Calibration,
    Golden,
    Label,
    Manifest,
    MultiLabelMetrics,
    Precision,
)
from app.runtime.session import Session
from training import calibration, thresholds
from training.acceptance import CONFIDENCE
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData
from training.data.findings import Findings
from training.data.layout import PARTS
from training.gates import check_parity
from training.int8.candidate import Candidate
from training.packaging import golden, measure, recipe_result
from training.report import LabelContent
from training.report.proportions import in_proportion


@dataclass(frozen=True, eq=False)
class ExportedLabels:
    """The parts of a multi-label bundle that follow from a training result."""

    golden: Golden
    metrics: Mapping[Precision, MultiLabelMetrics]
    calibration: Calibration
    baseline: Baseline
    thresholds: tuple[float, ...]
    undecided: tuple[tuple[float, float], ...]
    int8: Candidate
    probabilities: Mapping[Precision, NDArray[np.float32]]
    """(T, K) of the test photos."""
    familiarity: NDArray[np.floating]
    """(T,)."""


def export(
    training_data: TrainingData,
    trained: LabelTrainingResult,
    folder: Path,
    temporary: Path,
    accept_precision: float | None,
    report_progress: ReportProgress,
) -> ExportedLabels:
    """Write the graphs and the golden photos into `folder`, and measure the graphs.

    Args:
        training_data: the photos.
        trained: the result of the recipe.
        folder: the folder that becomes the bundle.
        temporary: a folder for other files.
        accept_precision: the promised precision of each accepted label; None: none is promised.
        report_progress: called with a line at each step.

    Raises:
        GateMissed: the graph's probabilities differ from the recipe's.
    """
    file = folder / MODEL_FILES["fp32"]
    onnx.save(trained.graph, file)
    fp32 = Session(file, "cpu", "fp32")
    names = ["probabilities", "embedding", "familiarity"]
    actual, embedding, familiarity = recipe_result.test_outputs(training_data, fp32, names)
    difference = check_parity(trained.expected, actual[: len(trained.expected)], trained.reference)
    report_progress(f"parity with {trained.reference} {difference:.1e}")
    int8 = recipe_result.make_int8(folder, fp32, training_data, trained)
    report_progress(int8.line)
    sessions: dict[Precision, Session] = {"fp32": fp32}
    probabilities: dict[Precision, NDArray[np.float32]] = {"fp32": actual}
    embeddings: dict[Precision, NDArray[np.float32]] = {"fp32": embedding}
    if int8.session:
        sessions["int8"] = int8.session
        outputs = recipe_result.test_outputs(training_data, int8.session, names[:2])
        probabilities["int8"], embeddings["int8"] = outputs
    truth, on = _truth_of_test(training_data), recipe_result.description_of_test(training_data)
    bands = np.array([thresholds.band(each) for each in trained.thresholds], np.float32).T
    if accept_precision is not None:
        accepted = actual >= np.array(trained.thresholds, np.float32)
        report_progress(_promise_line(accept_precision, accepted, truth))
    is_unsure = ((bands[0] <= actual) & (actual < bands[1])).any(axis=1)
    return ExportedLabels(
        golden=_golden(training_data, actual, sessions, folder, temporary),
        metrics={
            which: measure.label_metrics(rows, truth, trained.thresholds, on)
            for which, rows in probabilities.items()
        },
        calibration=measure.label_calibration_on_new_photos(
            trained.logits, truth, trained.calibration, f"{on}; {trained.calibration_photos}"
        ),
        baseline=measure.baseline(
            actual,
            thresholds=trained.thresholds,
            decisions=measure.count_decisions(familiarity < trained.unknown.threshold, is_unsure),
            embeddings=embeddings,
        ),
        thresholds=trained.thresholds,
        undecided=tuple(map(thresholds.band, trained.thresholds)),
        int8=int8,
        probabilities=probabilities,
        familiarity=familiarity,
    )


def report_content(
    training_data: TrainingData,
    trained: LabelTrainingResult,
    exported: ExportedLabels,
    findings: Findings,
    manifest: Manifest,
) -> LabelContent:
    """Return the content of the bundle's report."""
    examples, tested = training_data.examples, training_data.examples.indices_of("test")
    assert examples.label_matrix is not None
    rows = examples.rows[tested]
    folder = recipe_result.data_folder(examples.photos[0].file)
    view = vision.view_of(training_data.input)
    return LabelContent(
        manifest=manifest,
        measured_on=recipe_result.description_of_test(training_data),
        figures=exported.metrics,
        truth=examples.label_matrix[tested],
        probabilities=exported.probabilities,
        names=[examples.photos[index].file.name for index in tested.tolist()],
        thumbnails=lambda index: in_proportion(
            training_data.pixels[rows[index]], training_data.input, examples.photos[tested[index]]
        ),
        uncalibrated=calibration.sigmoid(trained.logits),
        part_photos={part: len(examples.indices_of(part)) for part in PARTS},
        sizes={
            part: examples.label_matrix[examples.indices_of(part)].sum(axis=0) for part in PARTS
        },
        findings=findings,
        curves=trained.curves,
        int8=f"{exported.int8.line}.",
        familiarity=exported.familiarity,
        data_photo=partial(recipe_result.data_photo, folder, view),
    )


def _promise_line(precision: float, accepted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> str:
    """Return a line about the promise, and what the test photos (T, K) give."""
    given = thresholds.count_accepted(accepted, truth)
    line = (
        f"promised for each label: {100 * precision:g} % of the photos for which it is accepted "
        f"have it ({100 * CONFIDENCE:.0f} % confidence); of {len(truth)} test photos "
        f"{100 * given.photos / len(truth):.1f} % get a label"
    )
    if not given.accepted:
        return line
    share = 100 * given.right / given.accepted
    return f"{line}, and {share:.2f} % of their {given.accepted} labels are right"


def _truth_of_test(training_data: TrainingData) -> NDArray[np.bool_]:
    examples = training_data.examples
    assert examples.label_matrix is not None
    return np.asarray(examples.label_matrix[examples.indices_of("test")])


def _golden(
    training_data: TrainingData,
    probabilities: NDArray[np.float32],
    sessions: Mapping[Precision, Session],
    folder: Path,
    temporary: Path,
) -> Golden:
    examples = training_data.examples
    selected = golden.select_labels(examples, probabilities)
    sources = golden.write(examples, selected, training_data.input, temporary / "golden")
    files = [temporary / "golden" / name for name in sources]
    labels = tuple(Label(name=label) for label in examples.labels)
    return golden.record(folder, files, sources, sessions, labels, training_data.input)
