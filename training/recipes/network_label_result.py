"""A multi-label network trained in PyTorch -> its LabelTrainingResult.

    network -> graph with its own head -> logits of val and test, embeddings of train
            -> the scale and the offset of each label, and its threshold, from val
            -> prototypes, from train; out-of-distribution threshold, from val
            -> the graph of the bundle, with a sigmoid for each label

It is `network_result` for photos with a label matrix.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from app.runtime.session import Session
from training import label_calibration
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData
from training.networks.inference import predict_logits
from training.onnx_graph.head import replace_head
from training.recipes import label_thresholds
from training.recipes.network_result import (
    MAX_PARITY_PHOTOS,
    Export,
    GraphPredictor,
    curves,
    familiarity_rule,
    head_of,
    logits_of,
)
from training.torch_loop.config import EpochResult


def network_label_result(
    network: torch.nn.Module,
    export: Export,
    training_data: TrainingData,
    history: Sequence[EpochResult],
    *,
    temporary: Path,
    accept_precision: float | None,
    metadata: Mapping[str, Any],
    card: str,
    report_progress: ReportProgress,
) -> LabelTrainingResult:
    """Calibrate a trained network, and return its graph and its results.

    Args:
        network: trained, on the CPU, in evaluation mode; its last layer is `head`.
        export: makes its graph.
        training_data: photos with a label matrix.
        history: the epochs, for the curves of the report.
        temporary: a folder for files that are removed when training ends.
        accept_precision: the promised precision of each accepted label; None: best F1.
        metadata: values found during training, for bundle.json.
        card: the section `Recipe` of the model card.
        report_progress: receives a line.

    Raises:
        PromiseUnattainable: no threshold of any label keeps `accept_precision`.
    """
    file = temporary / "uncalibrated.onnx"
    onnx.save(export(1.0), file)
    session, head = Session(file, "cpu", "fp32"), head_of(network)
    examples = training_data.examples
    assert examples.label_matrix is not None
    val, test = examples.indices_of("val"), examples.indices_of("test")
    logits = logits_of(session, head, training_data, np.concatenate([val, test]))
    of_val, of_test = np.split(logits, [len(val)])
    calibration = label_calibration.fit(of_val, examples.label_matrix[val])
    levels = label_thresholds.choose(
        calibration.probabilities(of_val),
        examples.label_matrix[val],
        examples.groups[val],
        examples.labels,
        accept_precision,
        report_progress,
    )
    prototypes, unknown, _ = familiarity_rule(session, training_data)
    report_progress(
        f"{len(prototypes)} prototypes, familiarity threshold {unknown.threshold:.3f}, reached by "
        f"{100 * unknown.accepts:.1f} % of the test photos"
    )
    pixels = training_data.pixels[examples.rows[test[:MAX_PARITY_PHOTOS]]]
    aim = label_thresholds.aim(accept_precision, "on val")
    return LabelTrainingResult(
        graph=replace_head(file, calibration.folded_into(head), 1.0, prototypes, sigmoid=True),
        int8=None,
        reference="PyTorch",
        expected=calibration.probabilities(predict_logits(network, pixels)),
        logits=of_test,
        calibration=calibration,
        calibration_photos="calibrated on the val split",
        thresholds=levels,
        unknown=unknown,
        predictor=GraphPredictor(training_data),
        calibration_set=examples.indices_of("train"),
        int8_holdout_candidates=examples.indices_of("val", "test"),
        metadata={**metadata, "epochs_trained": history[-1].number, "thresholds": aim},
        curves=curves(history, "mean average precision", "Mean average precision on val"),
        card=f"{card}\n\nEach label is calibrated by a scale and an offset on val. Aim of the "
        f"thresholds: {aim}.",
    )
