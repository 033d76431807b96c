"""Multi-label photos -> the last layer of the recipe `head`, its calibration and its thresholds.

    pixels -> the backbone's embeddings, on all cores
           -> folds of train and val -> C -> calibration of each label -> its threshold
                                     -> out-of-distribution threshold
           -> the head and the prototypes, from all of train and val

Nothing is fitted on the test split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import UnknownRule
from app.runtime.evaluation import label_figures
from training import familiarity, label_calibration, label_layer
from training.contracts import ReportProgress, TrainingData
from training.data import split
from training.label_calibration import LabelCalibration
from training.last_layer import Head
from training.recipes import label_thresholds
from training.recipes.embedding import Embed, Embeddings, train_val_first
from training.recipes.out_of_fold import OutOfFoldLabelPredictor

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrainedLabels:
    """The last layer of a multi-label model, and the results of its cross-validation."""

    test_embeddings: Embeddings
    """(T, D) of the test photos."""
    c: float
    """The inverse regularisation strength."""
    losses: Mapping[float, float]
    """The mean negative log-likelihood out of fold, by C."""
    head: Head
    """Without the calibration."""
    calibration: LabelCalibration
    thresholds: tuple[float, ...]
    prototypes: NDArray[np.float32]
    """(P, D) of length 1."""
    unknown: UnknownRule
    predictor: OutOfFoldLabelPredictor
    """Predicts each photo with a head that was not fitted on it."""


def train_labels(
    training_data: TrainingData,
    backbone: Path,
    accept_precision: float | None,
    embed: Embed,
    report_progress: ReportProgress,
) -> TrainedLabels:
    """Train on train and val together, on the embeddings of the graph `backbone`.

    Raises:
        PromiseUnattainable: no threshold of any label keeps `accept_precision`.
    """
    examples = training_data.examples
    assert examples.label_matrix is not None
    train_val, order = examples.indices_of("train", "val"), train_val_first(examples)
    embeddings = embed(backbone, training_data, order)
    inputs, of_test = embeddings[: len(train_val)], embeddings[len(train_val) :]
    truth = examples.label_matrix[train_val]
    strata = examples.truth[train_val]
    folds = split.folds(strata, examples.groups[train_val], training_data.seed)
    validated = label_layer.cross_validate(inputs, truth, folds)
    calibration = label_calibration.fit(validated.logits, truth)
    probabilities = calibration.probabilities(validated.logits)
    levels = label_thresholds.choose(
        probabilities,
        truth,
        examples.groups[train_val],
        examples.labels,
        accept_precision,
        report_progress,
    )
    report_progress(
        f"selected C = {validated.c:g} ({_cross_validated(probabilities, truth, levels)})"
    )

    prototypes = familiarity.prototypes(inputs, strata, training_data.seed)
    scores = familiarity.out_of_fold(inputs, strata, folds, training_data.seed)
    threshold = familiarity.threshold(scores)
    accepts = float((familiarity.score(of_test, prototypes) >= threshold).mean())
    report_progress(
        f"{len(prototypes)} prototypes, familiarity threshold {threshold:.3f}, reached by "
        f"{100 * accepts:.1f} % of the test photos"
    )
    head = label_layer.fit(inputs, truth, validated.c)
    return TrainedLabels(
        test_embeddings=of_test,
        c=validated.c,
        losses=validated.losses,
        head=head,
        calibration=calibration,
        thresholds=levels,
        prototypes=prototypes,
        unknown=UnknownRule(score="familiarity", threshold=threshold, accepts=accepts),
        predictor=OutOfFoldLabelPredictor(
            training_data.pixels,
            examples.rows,
            embeddings,
            order,
            [*validated.heads, head],
            folds,
            1.0,
            calibration,
        ),
    )


def _cross_validated(
    probabilities: NDArray[np.float64], truth: Mask, levels: tuple[float, ...]
) -> str:
    accepted = probabilities >= levels
    labels = label_figures.per_label(probabilities, accepted, truth)
    figures = label_figures.overall(labels, accepted, truth)
    return (
        f"cross-validated mean average precision {figures.mean_average_precision:.3f}, F1 "
        f"{figures.f1_micro:.3f}"
    )
