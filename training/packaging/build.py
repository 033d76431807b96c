"""What a recipe learnt -> everything of a bundle but bundle.json, report and card.

    graph -> model.onnx -> against the recipe's own arithmetic     gates; refused on a miss
          -> model.int8.onnx                                       int8; left out on a missed gate
          -> the test split: figures, golden photos, baseline

Every recipe ends here. The test split is looked at here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import (
    MODEL_FILES,
    Baseline,
    Calibration,
    Golden,
    Label,
    Manifest,
    Metrics,
    Precision,
)
from app.runtime.evaluation import accuracy
from app.runtime.session import Session
from training import calibration
from training.contracts import ReportProgress, TrainingData, TrainingResult
from training.data.findings import Findings
from training.data.layout import PARTS
from training.gates import Int8Result, check_parity
from training.int8 import candidate
from training.packaging import bundle_parts, golden_selection
from training.parallel import run_graph
from training.report import Content


@dataclass(frozen=True, eq=False)
class Made:
    """The parts of a manifest that follow from what was learnt."""

    golden: Golden
    metrics: Mapping[Precision, Metrics]
    calibration: Calibration
    baseline: Baseline
    int8: Int8Result | None
    probabilities: Mapping[Precision, NDArray[np.float32]]
    """(T, K) of the test photos."""
    scores: NDArray[np.floating]
    """(T,) what the rule for `unknown` compares with its threshold."""


def finish(
    training_data: TrainingData,
    trained: TrainingResult,
    folder: Path,
    scratch: Path,
    report_progress: ReportProgress,
) -> Made:
    """Fill `folder` with graphs and golden photos, and measure.

    Raises:
        GateMissed: the graph doesn't give what was learnt.
    """
    file = folder / MODEL_FILES["fp32"]
    onnx.save(trained.graph, file)
    fp32 = Session(file, "cpu", "fp32")
    names = ["probabilities"]
    if trained.unknown.score == "familiarity":
        names.append("familiarity")
    given, *familiarity = _of_test(training_data, fp32, names)
    difference = check_parity(trained.expected, given[: len(trained.expected)], trained.reference)
    report_progress(f"parity with {trained.reference} {difference:.1e}")

    quantized, result = candidate.quantized(folder, fp32, training_data, trained)
    report_progress(candidate.line(result))
    sessions: dict[Precision, Session] = {"fp32": fp32}
    probabilities: dict[Precision, NDArray[np.float32]] = {"fp32": given}
    if quantized:
        sessions["int8"] = quantized
        probabilities["int8"] = _of_test(training_data, quantized, ["probabilities"])[0]
    return Made(
        golden=_golden(training_data, given, sessions, folder, scratch),
        metrics={which: _measured(training_data, rows) for which, rows in probabilities.items()},
        calibration=_calibration(training_data, trained),
        baseline=bundle_parts.baseline(given),
        int8=result,
        probabilities=probabilities,
        scores=familiarity[0] if familiarity else given.max(axis=1),
    )


def report(
    training_data: TrainingData,
    trained: TrainingResult,
    made: Made,
    manifest: Manifest,
    found: Findings,
) -> Content:
    """What the bundle's report tells."""
    examples, tested = training_data.examples, training_data.examples.of("test")
    classes, rows = len(examples.labels), examples.rows[tested]
    return Content(
        manifest=manifest,
        measured_on=f"{examples.data}, its test split",
        figures=made.metrics,
        truth=examples.truth[tested],
        probabilities=made.probabilities,
        names=[examples.photos[index].file.name for index in tested.tolist()],
        thumbnails=lambda index: training_data.pixels[rows[index]],
        uncalibrated=calibration.softmax(trained.logits),
        sizes={
            part: np.bincount(examples.truth[examples.of(part)], minlength=classes)
            for part in PARTS
        },
        findings=found,
        curves=trained.curves,
        int8=f"{candidate.line(made.int8)}.",
        scores=made.scores,
    )


def _of_test(
    training_data: TrainingData, session: Session, names: list[str]
) -> tuple[NDArray[np.float32], ...]:
    """The graph's outputs `names` of the test photos."""
    rows = training_data.examples.rows[training_data.examples.of("test")].tolist()
    return run_graph(session, names, training_data.pixels, rows, f"testing {session.precision}")


def _measured(training_data: TrainingData, probabilities: NDArray[np.float32]) -> Metrics:
    truth = training_data.examples.truth[training_data.examples.of("test")]
    return Metrics(
        top1=accuracy.top_k_accuracy(probabilities, truth, 1),
        top5=accuracy.top_k_accuracy(probabilities, truth, 5),
        ece=accuracy.calibration_error(probabilities, truth),
        images=len(truth),
        on=f"{training_data.examples.data}, its test split",
    )


def _calibration(training_data: TrainingData, trained: TrainingResult) -> Calibration:
    truth = training_data.examples.truth[training_data.examples.of("test")]
    before = calibration.softmax(trained.logits)
    after = calibration.softmax(trained.logits / trained.temperature)
    return Calibration(
        temperature=trained.temperature,
        ece_before=accuracy.calibration_error(before, truth),
        ece_after=accuracy.calibration_error(after, truth),
        images=len(truth),
        on=f"{training_data.examples.data}, its test split; {trained.fitted_on}",
    )


def _golden(
    training_data: TrainingData,
    probabilities: NDArray[np.float32],
    sessions: Mapping[Precision, Session],
    folder: Path,
    scratch: Path,
) -> Golden:
    examples = training_data.examples
    picks = golden_selection.pick(examples, probabilities)
    sources = golden_selection.write(examples, picks, scratch / "golden")
    files = [scratch / "golden" / name for name in sources]
    names = tuple(Label(name=label) for label in examples.labels)
    return bundle_parts.record_golden(folder, files, sources, sessions, names, training_data.input)
