"""A network trained in PyTorch -> what training.packaging.build needs of it.

    network -> graph without temperature -> logits of val and test, embeddings of train
            -> temperature, from val
            -> prototypes, from train; threshold of familiarity, from val
            -> the graph that ships

Photos go through ONNX Runtime, one by one on all cores, as they will when served.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from app.bundle import InputSpec, UnknownRule
from app.runtime.session import Session
from training import calibration, familiarity
from training.contracts import Integers, ReportProgress, TrainingData, TrainingResult
from training.last_layer import Head
from training.networks.inference import predict_logits
from training.onnx_graph.efficientnet_lite import array
from training.onnx_graph.head import add_familiarity
from training.parallel import map_in_order, run_graph
from training.report import Curve, Line
from training.torch_loop.config import EpochResult

_LOOKED_AT = 20_000
"""Photos of train, at most, that prototypes are made of."""
_WIDEST = 4096
"""Numbers in an embedding, at most, for prototypes; textbook's over a large photo has more."""
_COMPARED = 200
"""Test photos, at most, on which the graph is compared with PyTorch."""

Export = Callable[[float], onnx.ModelProto]
"""A temperature -> the network's graph."""


@dataclass(frozen=True, eq=False)
class _GraphPredictor:
    """A `training.contracts.Judge`: the graph itself, for photos that it did not learn from."""

    training_data: TrainingData

    def predict(self, session: Session, of: Integers, label: str) -> NDArray[np.float32]:
        rows = self.training_data.examples.rows[of].tolist()
        return run_graph(session, ["probabilities"], self.training_data.pixels, rows, label)[0]


def network_result(
    network: torch.nn.Module,
    export: Export,
    training_data: TrainingData,
    history: Sequence[EpochResult],
    *,
    scratch: Path,
    selected: Mapping[str, Any],
    card: str,
    report_progress: ReportProgress,
) -> TrainingResult:
    """Calibrate, and describe.

    Args:
        network: trained, on the CPU, in evaluation mode; its last layer is `head`.
        export: makes its graph.
        training_data: the photos.
        history: its epochs.
        scratch: a folder for a file.
        selected: for bundle.json.
        card: how it was trained, in Markdown.
        report_progress: gets a line.
    """
    onnx.save(export(1.0), scratch / "uncalibrated.onnx")
    session = Session(scratch / "uncalibrated.onnx", "cpu", "fp32")
    last = network.get_submodule("head")
    head = Head(
        *(array(last.get_parameter(name)).astype(np.float32) for name in ("weight", "bias"))
    )
    examples = training_data.examples
    val, tested = examples.of("val"), examples.of("test")
    logits = _logits(session, head, training_data, np.concatenate([val, tested]))
    of_val, of_test = np.split(logits, [len(val)])
    label_smoothing = calibration.label_smoothing_for(len(val))
    temperature = calibration.fit_temperature(of_val, examples.truth[val], label_smoothing)
    graph = export(temperature)
    unknown, told = _rule(
        session, graph, training_data, of_val / temperature, of_test / temperature
    )
    report_progress(f"temperature {temperature:.3f}; {told}")
    pixels = training_data.pixels[examples.rows[tested[:_COMPARED]]]
    return TrainingResult(
        graph=graph,
        int8=None,
        reference="PyTorch",
        expected=calibration.softmax(predict_logits(network, pixels) / temperature),
        logits=of_test,
        temperature=temperature,
        fitted_on="the temperature was fitted on the val split",
        unknown=unknown,
        predictor=_GraphPredictor(training_data),
        calibration_set=examples.of("train"),
        holdout=examples.of("val", "test"),
        selected={**selected, "epochs_trained": history[-1].number},
        curves=_curves(history),
        card=card,
    )


def augmentation_input(spec: InputSpec, share: float) -> InputSpec:
    """`spec` at a side that is larger by `share`, as far as the canvas goes."""
    size = min(spec.canvas, round(spec.size * (1 + share)))
    return spec.model_copy(update={"size": size, "resample": "bicubic"})


def class_weights(training_data: TrainingData) -> torch.Tensor:
    """(K,) so that all classes count alike, however many photos they have; 1 in a photo's mean."""
    truth = training_data.examples.truth[training_data.examples.of("train")]
    counts = np.bincount(truth, minlength=len(training_data.examples.labels))
    return torch.tensor(len(truth) / (len(counts) * counts), dtype=torch.float32)


def _logits(
    session: Session, head: Head, training_data: TrainingData, of: Integers
) -> NDArray[np.float64]:
    """(M, K) of the photos `of`."""

    def one(row: int) -> NDArray[np.float64]:
        (embedding,) = session.outputs_of(["embedding"], training_data.pixels[row : row + 1])
        return head.logits(embedding)

    return np.concatenate(
        list(map_in_order(one, training_data.examples.rows[of].tolist(), "calibrating"))
    )


def _rule(
    session: Session,
    graph: onnx.ModelProto,
    training_data: TrainingData,
    of_val: NDArray[np.float64],
    of_test: NDArray[np.float64],
) -> tuple[UnknownRule, str]:
    """When a photo is unknown, by calibrated logits and embeddings; its score goes into `graph`."""
    examples = training_data.examples
    width = session.outputs["embedding"][1][1]
    if not isinstance(width, int) or width > _WIDEST:
        known, tested = (calibration.softmax(logits).max(axis=1) for logits in (of_val, of_test))
        rule = _ruled("max_probability", known, tested)
        return rule, f"a probability under {rule.threshold:.3f} is unknown"
    trained = examples.of("train")
    if len(trained) > _LOOKED_AT:
        trained = np.random.default_rng(training_data.seed).choice(
            trained, _LOOKED_AT, replace=False
        )
    parts = (trained, examples.of("val"), examples.of("test"))
    embeddings, val, test = (
        run_graph(
            session, ["embedding"], training_data.pixels, examples.rows[part].tolist(), "embedding"
        )[0]
        for part in parts
    )
    prototypes = familiarity.prototypes(embeddings, examples.truth[trained], training_data.seed)
    add_familiarity(graph.graph, prototypes)
    onnx.checker.check_model(graph, full_check=True)
    rule = _ruled("familiarity", *(familiarity.score(one, prototypes) for one in (val, test)))
    return rule, (
        f"{len(prototypes)} prototypes, familiarity from {rule.threshold:.3f} accepts "
        f"{100 * rule.accepts:.1f} % of the test photos"
    )


def _ruled(score: Any, known: NDArray[np.floating], tested: NDArray[np.floating]) -> UnknownRule:
    threshold = familiarity.threshold(known)
    return UnknownRule(
        score=score, threshold=threshold, accepts=float((tested >= threshold).mean())
    )


def _curves(history: Sequence[EpochResult]) -> tuple[Curve, ...]:
    numbers = [float(epoch.number) for epoch in history]
    trained = [epoch for epoch in history if epoch.number]
    own = [float(epoch.number) for epoch in trained]

    def curve(title: str, y: str, *lines: Line) -> Curve:
        return Curve(title=title, x="epoch", y=y, lines=lines)

    return (
        curve(
            "Loss",
            "loss",
            Line("train", [epoch.loss for epoch in trained], own),
            Line("val, calibrated", [epoch.val_loss for epoch in history], numbers),
        ),
        curve("Accuracy on val", "top-1", Line("val", [e.val_accuracy for e in history], numbers)),
        curve(
            "Learning rate",
            "share of the highest",
            Line("rate", [epoch.rate for epoch in trained], own),
        ),
    )
