"""The recipe `head`: a backbone that stays as it is, and a new last layer.

    photos -> head, temperature, prototypes, threshold    head_learning
           -> grafted onto the backbone's graph           graft; refused on a parity miss
           -> int8                                        head_int8; left out on a missed gate
           -> test: figures, golden photos, baseline

What has to be chosen is chosen by cross-validation over train and val together, which uses every
photo; test is looked at once, at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

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
    UnknownRule,
)
from app.runtime import metrics
from app.runtime.session import Session
from training import bundling, calibration, golden_picks, head_card, head_int8, head_report, report
from training.cores import outputs
from training.findings import Findings
from training.gates import Int8Result, check_parity
from training.graft import graft
from training.head_learning import Learnt, Task, Tell, learn
from training.split import FOLDS

LIBRARIES = ("scikit-learn",)


@dataclass(frozen=True, eq=False)
class Made:
    """The parts of a manifest that a recipe knows."""

    golden: Golden
    metrics: Mapping[Precision, Metrics]
    calibration: Calibration
    unknown: UnknownRule
    baseline: Baseline
    chosen: Mapping[str, Any]
    """What the recipe settled by itself."""
    card: Callable[[Manifest, Findings], str]
    report: Callable[[Manifest, Findings], report.Content]


def train(task: Task, folder: Path, scratch: Path, tell: Tell) -> Made:
    """Fill `folder` with everything but bundle.json and the card.

    Raises:
        GateMissed: the graph doesn't give what scikit-learn gives.
    """
    learnt = learn(task, tell)
    file = folder / MODEL_FILES["fp32"]
    source = task.backbone.model_path("fp32")
    onnx.save(graft(source, learnt.head, learnt.temperature, learnt.prototypes), file)
    fp32 = Session(file, "cpu", "fp32")
    tested = task.examples.of("test")
    given: dict[Precision, NDArray[np.float32]] = {"fp32": _of_test(task, fp32)}
    wanted = learnt.judged.probabilities(learnt.embeddings[tested], tested)
    difference = check_parity(wanted, given["fp32"], "scikit-learn")
    tell(f"parity with scikit-learn {difference:.1e}")

    own = task.examples.of("train", "val")
    int8, result = head_int8.quantized(folder, fp32, learnt.judged, own, task.seed)
    tell(_int8_line(result))
    sessions: dict[Precision, Session] = {"fp32": fp32}
    if int8:
        sessions["int8"] = int8
        given["int8"] = _of_test(task, int8)
    return Made(
        golden=_golden(task, learnt, sessions, folder, scratch),
        metrics={which: _measured(task, given[which]) for which in sessions},
        calibration=_calibration(task, learnt),
        unknown=learnt.unknown,
        baseline=bundling.baseline(given["fp32"]),
        chosen={
            "backbone": f"{task.backbone.manifest.name} {task.backbone.manifest.version}",
            "strength": learnt.strength,
            "folds": FOLDS,
            "prototypes": len(learnt.prototypes),
            "photos": {part: len(task.examples.of(part)) for part in ("train", "val", "test")},
        },
        card=partial(head_card.write, result),
        report=partial(head_report.content, task, learnt, given, _int8_line(result)),
    )


def _of_test(task: Task, session: Session) -> NDArray[np.float32]:
    """The graph's probabilities (T, K) of the test photos."""
    rows = task.examples.rows[task.examples.of("test")].tolist()
    label = f"testing {session.precision}"
    return outputs(session, ["probabilities"], task.pixels, rows, label)[0]


def _measured(task: Task, probabilities: NDArray[np.float32]) -> Metrics:
    truth = task.examples.truth[task.examples.of("test")]
    return Metrics(
        top1=metrics.top_k_accuracy(probabilities, truth, 1),
        top5=metrics.top_k_accuracy(probabilities, truth, 5),
        ece=metrics.calibration_error(probabilities, truth),
        images=len(truth),
        on=f"{task.examples.data}, its test split",
    )


def _calibration(task: Task, learnt: Learnt) -> Calibration:
    tested = task.examples.of("test")
    truth = task.examples.truth[tested]
    logits = learnt.head.logits(learnt.embeddings[tested])
    after = calibration.softmax(logits / learnt.temperature)
    return Calibration(
        temperature=learnt.temperature,
        ece_before=metrics.calibration_error(calibration.softmax(logits), truth),
        ece_after=metrics.calibration_error(after, truth),
        images=len(truth),
        on=f"{task.examples.data}, its test split; the temperature was fitted on the others, each "
        "by a head that did not see it",
    )


def _golden(
    task: Task,
    learnt: Learnt,
    sessions: Mapping[Precision, Session],
    folder: Path,
    scratch: Path,
) -> Golden:
    examples, everyone = task.examples, np.arange(len(task.examples.truth))
    probabilities = learnt.judged.probabilities(learnt.embeddings, everyone)
    picks = golden_picks.pick(examples, probabilities)
    sources = golden_picks.write(examples, picks, scratch / "golden")
    files = [scratch / "golden" / name for name in sources]
    names = tuple(Label(name=label) for label in examples.labels)
    spec = task.backbone.manifest.input
    return bundling.record_golden(folder, files, sources, sessions, names, spec)


def _int8_line(result: Int8Result | None) -> str:
    if result is None:
        return f"int8 is left out: {head_int8.TOO_FEW}"
    verdict = f"; it is left out: {'; '.join(result.misses)}" if result.misses else ""
    return (
        f"int8 on {result.images} photos: drop {100 * result.drop:.2f} points, "
        f"{result.speedup:.2f} times as fast{verdict}"
    )
