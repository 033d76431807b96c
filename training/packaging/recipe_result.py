"""Export the result of a recipe into the bundle's folder, and measure it.

    graph -> model.onnx -> compared with the reference predictions       gates; a miss ends it
          -> model.int8.onnx                                             left out on a missed gate
          -> predictions on the test split: figures, golden photos, baseline, report

Every recipe ends here. Nothing was fitted on the test split.
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
    DecisionRule,
    Golden,
    Label,
    Manifest,
    Metrics,
    Precision,
)
from app.errors import InputError, first_line_of
from app.runtime.session import Session
from training import calibration, gates
from training.contracts import (
    Integers,
    LabelTrainingResult,
    ReportProgress,
    TrainingData,
    TrainingResult,
)
from training.data.findings import Findings
from training.data.layout import PARTS, File
from training.data.photos import LIMITS
from training.gates import check_parity
from training.int8 import candidate
from training.int8.candidate import Candidate, Comparison, LabelComparison, QuantizationFailed
from training.int8.imported_backbone import quantization_of
from training.int8.quantize import CALIBRATION_PHOTOS
from training.packaging import golden, held_out_predictions, measure, promise, suspects
from training.packaging.promise import HeldOut, Promise
from training.parallel import run_graph
from training.report import Content, Suspects
from training.report.proportions import in_proportion


@dataclass(frozen=True, eq=False)
class Exported:
    """The parts of a bundle that follow from a training result."""

    golden: Golden
    metrics: Mapping[Precision, Metrics]
    calibration: Calibration
    baseline: Baseline
    int8: Candidate
    probabilities: Mapping[Precision, NDArray[np.float32]]
    """(T, K) of the test photos."""
    scores: NDArray[np.floating]
    """(T,) the scores that the out-of-distribution threshold is compared with."""
    held_out: HeldOut
    """The predictions that the acceptance threshold is chosen on."""
    decision: DecisionRule | None
    """None: nothing is promised."""
    suspects: Suspects


def export(
    training_data: TrainingData,
    trained: TrainingResult,
    promised: Promise | None,
    folder: Path,
    temporary: Path,
    report_progress: ReportProgress,
) -> Exported:
    """Write the graphs and the golden photos into `folder`, and measure the graphs.

    Raises:
        GateMissed: the graph's probabilities differ from the recipe's, or the promise can't be
            kept.
    """
    file = folder / MODEL_FILES["fp32"]
    onnx.save(trained.graph, file)
    fp32 = Session(file, "cpu", "fp32")
    names = ["probabilities", "embedding"]
    if trained.unknown.score == "familiarity":
        names.append("familiarity")
    actual, embedding, *familiarity = test_outputs(training_data, fp32, names)
    difference = check_parity(trained.expected, actual[: len(trained.expected)], trained.reference)
    report_progress(f"parity with {trained.reference} {difference:.1e}")

    held_out = held_out_predictions.predict(training_data, trained, fp32)
    labels = training_data.examples.labels
    if promised is not None:  # an unattainable promise ends the run before int8 is made
        promise.decision_rule(held_out, promised, trained.unknown, labels)
    int8 = make_int8(folder, fp32, training_data, trained)
    report_progress(int8.line)
    sessions: dict[Precision, Session] = {"fp32": fp32}
    probabilities: dict[Precision, NDArray[np.float32]] = {"fp32": actual}
    embeddings: dict[Precision, NDArray[np.float32]] = {"fp32": embedding}
    if int8.session:
        sessions["int8"] = int8.session
        outputs = test_outputs(training_data, int8.session, names[:2])
        probabilities["int8"], embeddings["int8"] = outputs
    examples = training_data.examples
    truth, on = examples.truth[examples.indices_of("test")], description_of_test(training_data)
    decision = None
    if promised is not None:
        held_out = held_out_predictions.predict(training_data, trained, *sessions.values())
        decision = promise.decision_rule(held_out, promised, trained.unknown, labels)
        figures = promise.measure(
            decision,
            trained.unknown,
            labels,
            actual,
            familiarity[0] if familiarity else None,
            truth,
            on,
        )
        decision = decision.model_copy(update={"tested": figures})
        report_progress(promise.summary(decision))
    scores = familiarity[0] if familiarity else actual.max(axis=1)
    return Exported(
        golden=_golden(training_data, actual, sessions, folder, temporary),
        metrics={which: measure.metrics(rows, truth, on) for which, rows in probabilities.items()},
        calibration=measure.calibration_on_new_photos(
            trained.logits, truth, trained.temperature, f"{on}; {trained.temperature_photos}"
        ),
        baseline=measure.baseline(
            actual,
            decisions=measure.decisions(actual, scores, trained.unknown, decision, labels),
            embeddings=embeddings,
        ),
        int8=int8,
        probabilities=probabilities,
        scores=scores,
        held_out=held_out,
        decision=decision,
        suspects=suspects.find(training_data, trained, held_out, probabilities),
    )


def make_int8(
    folder: Path,
    fp32: Session,
    training_data: TrainingData,
    trained: TrainingResult | LabelTrainingResult,
) -> Candidate:
    """Write the int8 graph of the bundle, if one passes the gate.

    The first candidate is the backbone's int8 graph with the new head, the second a graph that is
    calibrated on the user's photos.

    The two precisions are compared by predictions of models that did not learn from the photos
    (`HeldOutPredictor`), so predictions are as uncertain as for new photos.
    """
    minimum = gates.INT8_MIN_LABELLED
    backbone_candidate = Candidate(None, None)
    if trained.int8 is not None and len(trained.int8_holdout_candidates) >= minimum:
        file = folder / MODEL_FILES["int8"]
        onnx.save(trained.int8, file)
        comparison = _comparison(training_data, trained, trained.int8_holdout_candidates)
        backbone_candidate = candidate.keep_if_it_passes(
            file, fp32, Session(file, "cpu", "int8"), comparison
        )
        if backbone_candidate.session or backbone_candidate.is_timed_only:
            return backbone_candidate
    count = min(CALIBRATION_PHOTOS, len(trained.calibration_set) // 2)
    calibration_set = candidate.sample(trained.calibration_set, count, training_data.seed)
    holdout = np.setdiff1d(trained.int8_holdout_candidates, calibration_set)
    if len(holdout) < minimum:
        return backbone_candidate
    how = quantization_of(trained.graph)
    if how.obstacle:
        return Candidate(None, backbone_candidate.result, obstacle=how.obstacle)
    try:
        return candidate.make(
            folder,
            fp32,
            training_data.pixels[training_data.examples.rows[calibration_set]],
            _comparison(training_data, trained, holdout),
            prepare=how.prepare,
            in_float=how.in_float,
        )
    except QuantizationFailed as err:
        reason = first_line_of(err.reason)
        return Candidate(None, None, obstacle=f"the graph can't be quantised ({reason})")


def report_content(
    training_data: TrainingData,
    trained: TrainingResult,
    exported: Exported,
    findings: Findings,
    manifest: Manifest,
) -> Content:
    """Return the content of the bundle's report."""
    examples, tested = training_data.examples, training_data.examples.indices_of("test")
    classes, rows = len(examples.labels), examples.rows[tested]
    return Content(
        manifest=manifest,
        measured_on=description_of_test(training_data),
        figures=exported.metrics,
        truth=examples.truth[tested],
        probabilities=exported.probabilities,
        names=[examples.photos[index].file.name for index in tested.tolist()],
        thumbnails=lambda index: in_proportion(
            training_data.pixels[rows[index]], training_data.input, examples.photos[tested[index]]
        ),
        uncalibrated=calibration.softmax(trained.logits),
        sizes={
            part: np.bincount(examples.truth[examples.indices_of(part)], minlength=classes)
            for part in PARTS
        },
        findings=findings,
        curves=trained.curves,
        int8=f"{exported.int8.line}.",
        scores=exported.scores,
        held_out=held_out_predictions.photos(training_data, trained, exported.held_out),
        suspects=exported.suspects,
        data_photo=partial(
            data_photo, data_folder(examples.photos[0].file), vision.view_of(training_data.input)
        ),
    )


def data_folder(file: File) -> Path:
    """Return the data folder that `file` lies in."""
    return file.path.parents[file.name.count("/")]


def data_photo(folder: Path, view: vision.View, name: str) -> NDArray[np.uint8] | None:
    """Return a photo of the data folder, uint8 RGB (h, w, 3); None if it can't be read.

    Its longer side has 480 pixels. Of a photo whose centre square the model reads, it is that.
    """
    try:
        picture = vision.decode((folder / name).read_bytes(), LIMITS, view)
    except (OSError, InputError):
        return None
    return picture.in_proportion(picture.canvas)


def _comparison(
    training_data: TrainingData, trained: TrainingResult | LabelTrainingResult, holdout: Integers
) -> Comparison:
    photos = candidate.sample(holdout, candidate.MAX_HOLDOUT, training_data.seed)

    def predict(session: Session) -> NDArray[np.floating]:
        return trained.predictor.predict(session, photos, f"comparing {session.precision}")

    examples = training_data.examples
    pixels, rows, truth = training_data.pixels, examples.rows[photos], examples.truth[photos]
    if isinstance(trained, TrainingResult):
        return Comparison(pixels, rows, truth, predict=predict)
    assert examples.label_matrix is not None
    return LabelComparison(
        pixels,
        rows,
        truth,
        predict=predict,
        label_matrix=examples.label_matrix[photos],
        thresholds=np.array(trained.thresholds, np.float32),
    )


def description_of_test(training_data: TrainingData) -> str:
    """Return the photos of the test split in words."""
    return f"{training_data.examples.data_name}, its test split"


def test_outputs(
    training_data: TrainingData, session: Session, names: list[str]
) -> tuple[NDArray[np.float32], ...]:
    """Return the graph's outputs `names` for the test photos."""
    rows = training_data.examples.rows[training_data.examples.indices_of("test")].tolist()
    return run_graph(session, names, training_data.pixels, rows, f"testing {session.precision}")


def _golden(
    training_data: TrainingData,
    probabilities: NDArray[np.float32],
    sessions: Mapping[Precision, Session],
    folder: Path,
    temporary: Path,
) -> Golden:
    examples = training_data.examples
    selected = golden.select(examples, probabilities)
    sources = golden.write(examples, selected, training_data.input, temporary / "golden")
    files = [temporary / "golden" / name for name in sources]
    labels = tuple(Label(name=label) for label in examples.labels)
    return golden.record(folder, files, sources, sessions, labels, training_data.input)
