"""A network trained in PyTorch -> its TrainingResult, for `training.packaging.recipe_result`.

    network -> graph without temperature -> logits of val and test, embeddings of train
            -> temperature, from val
            -> prototypes, from train; out-of-distribution threshold, from val
            -> the graph of the bundle

Photos go through ONNX Runtime one by one on all cores, as they will in the service.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from app.bundle import UnknownRule
from app.runtime.session import Session
from training import calibration, familiarity
from training.contracts import Integers, ReportProgress, TrainingData, TrainingResult
from training.last_layer import Head
from training.networks.inference import predict_logits
from training.onnx_graph.head import add_familiarity
from training.onnx_graph.small import array
from training.parallel import map_in_order, run_graph
from training.report import Curve, Line
from training.torch_loop.config import EpochResult

_MAX_PROTOTYPE_PHOTOS = 20_000
"""The most photos of train that prototypes are made of."""
MAX_EMBEDDING = 4096
"""The longest embedding that prototypes are made of. That of `textbook` on large photos is
longer."""
MAX_PARITY_PHOTOS = 200
"""The most test photos on which the graph is compared with PyTorch."""

Export = Callable[[float], onnx.ModelProto]
"""A temperature -> the network's graph."""


@dataclass(frozen=True, eq=False)
class GraphPredictor:
    """A `training.contracts.HeldOutPredictor`: the graph itself, for photos outside train."""

    training_data: TrainingData

    def predict(
        self, session: Session, photos: Integers, progress_label: str
    ) -> NDArray[np.float32]:
        """Return the probabilities (M, K) of `photos` by the graph."""
        rows = self.training_data.examples.rows[photos].tolist()
        return run_graph(
            session, ["probabilities"], self.training_data.pixels, rows, progress_label
        )[0]


def network_result(
    network: torch.nn.Module,
    export: Export,
    training_data: TrainingData,
    history: Sequence[EpochResult],
    *,
    temporary: Path,
    metadata: Mapping[str, Any],
    card: str,
    report_progress: ReportProgress,
) -> TrainingResult:
    """Calibrate a trained network, and return its graph and its results.

    Args:
        network: trained, on the CPU, in evaluation mode; its last layer is `head`.
        export: makes its graph.
        training_data: the photos.
        history: the results of the epochs.
        temporary: a folder for a temporary file.
        metadata: values found during training, for bundle.json.
        card: the section `Recipe` of the model card, in Markdown.
        report_progress: receives a line.
    """
    onnx.save(export(1.0), temporary / "uncalibrated.onnx")
    session = Session(temporary / "uncalibrated.onnx", "cpu", "fp32")
    examples = training_data.examples
    val, test = examples.indices_of("val"), examples.indices_of("test")
    logits = logits_of(session, head_of(network), training_data, np.concatenate([val, test]))
    of_val, of_test = np.split(logits, [len(val)])
    label_smoothing = calibration.label_smoothing_for(len(val))
    temperature = calibration.fit_temperature(of_val, examples.truth[val], label_smoothing)
    graph = export(temperature)
    known: NDArray[np.float64] | None = None
    if has_short_embedding(session):
        prototypes, unknown, known = familiarity_rule(session, training_data)
        add_familiarity(graph.graph, prototypes)
        onnx.checker.check_model(graph, full_check=True)
        message = (
            f"{len(prototypes)} prototypes, familiarity threshold {unknown.threshold:.3f}, "
            f"reached by {100 * unknown.accepts:.1f} % of the test photos"
        )
    else:
        unknown = _probability_rule(of_val / temperature, of_test / temperature)
        message = f"a photo whose highest probability is below {unknown.threshold:.3f} is `unknown`"
    report_progress(f"temperature {temperature:.3f}; {message}")
    pixels = training_data.pixels[examples.rows[test[:MAX_PARITY_PHOTOS]]]
    return TrainingResult(
        graph=graph,
        int8=None,
        reference="PyTorch",
        expected=calibration.softmax(predict_logits(network, pixels) / temperature),
        logits=of_test,
        temperature=temperature,
        temperature_photos="the temperature was fitted on the val split",
        unknown=unknown,
        predictor=GraphPredictor(training_data),
        held_out=val,
        held_out_photos="its val split",
        held_out_familiarity=known,
        calibration_set=examples.indices_of("train"),
        int8_holdout_candidates=examples.indices_of("val", "test"),
        metadata={**metadata, "epochs_trained": history[-1].number},
        curves=curves(history),
        card=card,
    )


def head_of(network: torch.nn.Module) -> Head:
    """Return the last layer of a network."""
    layer = network.get_submodule("head")
    return Head(
        *(array(layer.get_parameter(name)).astype(np.float32) for name in ("weight", "bias"))
    )


def logits_of(
    session: Session, head: Head, training_data: TrainingData, photos: Integers
) -> NDArray[np.float64]:
    """Return the logits (M, K) of `photos`."""

    def logits_of_row(row: int) -> NDArray[np.float64]:
        (embedding,) = session.outputs_of(["embedding"], training_data.pixels[row : row + 1])
        return head.logits(embedding)

    rows = training_data.examples.rows[photos].tolist()
    return np.concatenate(list(map_in_order(logits_of_row, rows, "computing logits")))


def has_short_embedding(session: Session) -> bool:
    """Return whether prototypes can be made of the embeddings."""
    length = session.outputs["embedding"][1][1]
    return isinstance(length, int) and length <= MAX_EMBEDDING


def familiarity_rule(
    session: Session, training_data: TrainingData
) -> tuple[NDArray[np.float32], UnknownRule, NDArray[np.float64]]:
    """Return prototypes from train, the familiarity that 95 % of val reach, and that of val."""
    examples = training_data.examples
    train = examples.indices_of("train")
    if len(train) > _MAX_PROTOTYPE_PHOTOS:
        rng = np.random.default_rng(training_data.seed)
        train = rng.choice(train, _MAX_PROTOTYPE_PHOTOS, replace=False)
    of_train, of_val, of_test = (
        run_graph(
            session, ["embedding"], training_data.pixels, examples.rows[part].tolist(), "embedding"
        )[0]
        for part in (train, examples.indices_of("val"), examples.indices_of("test"))
    )
    prototypes = familiarity.prototypes(of_train, examples.truth[train], training_data.seed)
    known, test = (familiarity.score(part, prototypes) for part in (of_val, of_test))
    return prototypes, _unknown_rule("familiarity", known, test), known


def _probability_rule(of_val: NDArray[np.float64], of_test: NDArray[np.float64]) -> UnknownRule:
    """Return the rule by the largest probability, from the calibrated logits of val and test."""
    known, test = (calibration.softmax(logits).max(axis=1) for logits in (of_val, of_test))
    return _unknown_rule("max_probability", known, test)


def _unknown_rule(
    score: Literal["familiarity", "max_probability"],
    known: NDArray[np.floating],
    test: NDArray[np.floating],
) -> UnknownRule:
    threshold = familiarity.threshold(known)
    return UnknownRule(score=score, threshold=threshold, accepts=float((test >= threshold).mean()))


def curves(
    history: Sequence[EpochResult], measure: str = "top-1", title: str = "Accuracy on val"
) -> tuple[Curve, ...]:
    """Return the curves of the report; epoch 0, before training, has no training loss or rate.

    Args:
        history: the epochs.
        measure: what their accuracy is.
        title: the title of its curve.
    """
    trained = [epoch for epoch in history if epoch.number]
    all_numbers = [float(epoch.number) for epoch in history]
    trained_numbers = [float(epoch.number) for epoch in trained]

    def curve(title: str, y: str, *lines: Line) -> Curve:
        return Curve(title=title, x="epoch", y=y, lines=lines)

    return (
        curve(
            "Loss",
            "loss",
            Line("train", [epoch.loss for epoch in trained], trained_numbers),
            Line("val, calibrated", [epoch.val_loss for epoch in history], all_numbers),
        ),
        curve(
            title,
            measure,
            Line("val", [epoch.val_accuracy for epoch in history], all_numbers),
        ),
        curve(
            "Learning rate",
            "share of the highest",
            Line("rate", [epoch.rate for epoch in trained], trained_numbers),
        ),
    )
