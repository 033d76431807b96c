"""The recipe `head` for multi-label photos: a sigmoid for each label on an unchanged backbone.

photos -> head, calibration, thresholds, prototypes       label_head_training
       -> put onto the backbone's graphs, fp32 and int8   onnx_graph.head
"""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from app.bundle import Precision
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData
from training.data.split import FOLDS
from training.onnx_graph.head import replace_head
from training.recipes.embedding import Embed
from training.recipes.label_head_training import TrainedLabels, train_labels
from training.recipes.label_thresholds import aim
from training.report import Curve, Line


def train(
    training_data: TrainingData,
    graphs: Mapping[Precision, Path],
    description: str,
    accept_precision: float | None,
    embed: Embed,
    report_progress: ReportProgress,
) -> LabelTrainingResult:
    """Fit the head, and put it onto the backbone.

    Args:
        training_data: photos with a label matrix.
        graphs: the backbone's graph of each precision that it has.
        description: a sentence about the backbone, for the model card.
        accept_precision: the promised precision of each accepted label; None: none is promised.
        embed: computes the embeddings.
        report_progress: called with each line of progress.
    """
    trained = train_labels(training_data, graphs["fp32"], accept_precision, embed, report_progress)
    test, of_test = training_data.examples.indices_of("test"), trained.test_embeddings
    return LabelTrainingResult(
        graph=_with_new_head(graphs["fp32"], trained),
        int8=_with_new_head(graphs["int8"], trained) if "int8" in graphs else None,
        reference="NumPy",
        expected=trained.predictor.probabilities(of_test, test),
        logits=trained.head.logits(of_test),
        calibration=trained.calibration,
        calibration_photos="calibrated on out-of-fold predictions of train and val",
        thresholds=trained.thresholds,
        unknown=trained.unknown,
        predictor=trained.predictor,
        calibration_set=training_data.examples.indices_of("train", "val"),
        int8_holdout_candidates=np.arange(len(training_data.examples.truth)),
        metadata={
            "strength": trained.c,
            "folds": FOLDS,
            "prototypes": len(trained.prototypes),
            "thresholds": aim(accept_precision, "out of fold"),
        },
        curves=(_losses_by_c(trained),),
        card=_card(description, trained, accept_precision),
    )


def _with_new_head(graph: Path, trained: TrainedLabels) -> onnx.ModelProto:
    head = trained.calibration.folded_into(trained.head)
    return replace_head(graph, head, 1.0, trained.prototypes, sigmoid=True)


def _losses_by_c(trained: TrainedLabels) -> Curve:
    losses = trained.losses
    return Curve(
        title="Inverse regularisation strength C, cross-validated over train and val",
        x="C (the larger, the weaker the regularisation)",
        y="negative log-likelihood",
        lines=(Line("out of fold", list(losses.values()), list(losses)),),
        logarithmic=True,
        selected=trained.c,
    )


def _card(description: str, trained: TrainedLabels, accept_precision: float | None) -> str:
    thresholds = aim(accept_precision, "out of fold")
    return textwrap.fill(
        f"{description} The last layer is a logistic regression for each label, one against the "
        f"rest (C = {trained.c:g}, selected by {FOLDS}-fold cross-validation over train and val, "
        "then fitted on all of them). Each label is calibrated by a scale and an offset (Platt "
        f"1999) on out-of-fold predictions. Aim of the thresholds: {thresholds}.",
        99,
    )
