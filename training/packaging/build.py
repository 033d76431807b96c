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
from training.contracts import Outcome, Task, Tell
from training.data.findings import Findings
from training.data.layout import PARTS
from training.gates import Int8Result, check_parity
from training.int8 import candidate
from training.packaging import bundle_parts, golden_selection
from training.parallel import outputs
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


def finish(task: Task, outcome: Outcome, folder: Path, scratch: Path, tell: Tell) -> Made:
    """Fill `folder` with graphs and golden photos, and measure.

    Raises:
        GateMissed: the graph doesn't give what was learnt.
    """
    file = folder / MODEL_FILES["fp32"]
    onnx.save(outcome.graph, file)
    fp32 = Session(file, "cpu", "fp32")
    names = ["probabilities"]
    if outcome.unknown.score == "familiarity":
        names.append("familiarity")
    given, *familiarity = _of_test(task, fp32, names)
    difference = check_parity(outcome.wanted, given[: len(outcome.wanted)], outcome.reference)
    tell(f"parity with {outcome.reference} {difference:.1e}")

    quantized, result = candidate.quantized(folder, fp32, task, outcome)
    tell(candidate.line(result))
    sessions: dict[Precision, Session] = {"fp32": fp32}
    probabilities: dict[Precision, NDArray[np.float32]] = {"fp32": given}
    if quantized:
        sessions["int8"] = quantized
        probabilities["int8"] = _of_test(task, quantized, ["probabilities"])[0]
    return Made(
        golden=_golden(task, given, sessions, folder, scratch),
        metrics={which: _measured(task, rows) for which, rows in probabilities.items()},
        calibration=_calibration(task, outcome),
        baseline=bundle_parts.baseline(given),
        int8=result,
        probabilities=probabilities,
        scores=familiarity[0] if familiarity else given.max(axis=1),
    )


def report(
    task: Task, outcome: Outcome, made: Made, manifest: Manifest, found: Findings
) -> Content:
    """What the bundle's report tells."""
    examples, tested = task.examples, task.examples.of("test")
    classes, rows = len(examples.labels), examples.rows[tested]
    return Content(
        manifest=manifest,
        measured_on=f"{examples.data}, its test split",
        figures=made.metrics,
        truth=examples.truth[tested],
        probabilities=made.probabilities,
        names=[examples.photos[index].file.name for index in tested.tolist()],
        thumbnails=lambda index: task.pixels[rows[index]],
        uncalibrated=calibration.softmax(outcome.logits),
        sizes={
            part: np.bincount(examples.truth[examples.of(part)], minlength=classes)
            for part in PARTS
        },
        findings=found,
        curves=outcome.curves,
        int8=f"{candidate.line(made.int8)}.",
        scores=made.scores,
    )


def _of_test(task: Task, session: Session, names: list[str]) -> tuple[NDArray[np.float32], ...]:
    """The graph's outputs `names` of the test photos."""
    rows = task.examples.rows[task.examples.of("test")].tolist()
    return outputs(session, names, task.pixels, rows, f"testing {session.precision}")


def _measured(task: Task, probabilities: NDArray[np.float32]) -> Metrics:
    truth = task.examples.truth[task.examples.of("test")]
    return Metrics(
        top1=accuracy.top_k_accuracy(probabilities, truth, 1),
        top5=accuracy.top_k_accuracy(probabilities, truth, 5),
        ece=accuracy.calibration_error(probabilities, truth),
        images=len(truth),
        on=f"{task.examples.data}, its test split",
    )


def _calibration(task: Task, outcome: Outcome) -> Calibration:
    truth = task.examples.truth[task.examples.of("test")]
    before = calibration.softmax(outcome.logits)
    after = calibration.softmax(outcome.logits / outcome.temperature)
    return Calibration(
        temperature=outcome.temperature,
        ece_before=accuracy.calibration_error(before, truth),
        ece_after=accuracy.calibration_error(after, truth),
        images=len(truth),
        on=f"{task.examples.data}, its test split; {outcome.fitted_on}",
    )


def _golden(
    task: Task,
    probabilities: NDArray[np.float32],
    sessions: Mapping[Precision, Session],
    folder: Path,
    scratch: Path,
) -> Golden:
    examples = task.examples
    picks = golden_selection.pick(examples, probabilities)
    sources = golden_selection.write(examples, picks, scratch / "golden")
    files = [scratch / "golden" / name for name in sources]
    names = tuple(Label(name=label) for label in examples.labels)
    return bundle_parts.record_golden(folder, files, sources, sessions, names, task.input)
