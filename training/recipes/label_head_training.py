"""Multi-label photos -> the last layer of the recipe `head`, its calibration and its thresholds.

    pixels -> the backbone's embeddings, on all cores
           -> folds of train and val -> C -> calibration of each label -> its threshold
                                     -> out-of-distribution threshold
           -> the head and the prototypes, from all of train and val

Nothing is fitted on the test split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import UnknownRule
from app.runtime.evaluation import label_figures
from app.runtime.session import Session
from training import acceptance, familiarity, label_calibration, label_layer, thresholds
from training.acceptance import Outcomes
from training.contracts import ReportProgress, TrainingData
from training.data import split
from training.errors import PromiseUnattainable
from training.label_calibration import LabelCalibration
from training.last_layer import Head
from training.parallel import run_graph
from training.recipes.out_of_fold import OutOfFoldLabelPredictor

Mask = NDArray[np.bool_]
Embeddings = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TrainedLabels:
    """The last layer of a multi-label model, and the results of its cross-validation."""

    embeddings: Embeddings
    """(N, D) of all photos."""
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
    report_progress: ReportProgress,
) -> TrainedLabels:
    """Train on train and val together, on the embeddings of the graph `backbone`.

    Raises:
        PromiseUnattainable: no threshold of any label keeps `accept_precision`.
    """
    examples = training_data.examples
    assert examples.label_matrix is not None
    embeddings = _embed(training_data, backbone)
    train_val, test = examples.indices_of("train", "val"), examples.indices_of("test")
    inputs, truth = embeddings[train_val], examples.label_matrix[train_val]
    strata = examples.truth[train_val]
    folds = split.folds(strata, examples.groups[train_val], training_data.seed)
    validated = label_layer.cross_validate(inputs, truth, folds)
    calibration = label_calibration.fit(validated.logits, truth)
    probabilities = calibration.probabilities(validated.logits)
    if accept_precision is None:
        levels = tuple(thresholds.best_f1(probabilities, truth))
    else:
        different = np.unique(examples.groups[train_val], return_index=True)[1]
        levels = promised_thresholds(
            probabilities[different],
            truth[different],
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
    accepts = float((familiarity.score(embeddings[test], prototypes) >= threshold).mean())
    report_progress(
        f"{len(prototypes)} prototypes, familiarity threshold {threshold:.3f}, reached by "
        f"{100 * accepts:.1f} % of the test photos"
    )
    head = label_layer.fit(inputs, truth, validated.c)
    head_of = np.full(len(embeddings), len(validated.heads), np.intp)
    head_of[train_val] = folds
    return TrainedLabels(
        embeddings=embeddings,
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
            [*validated.heads, head],
            head_of,
            1.0,
            calibration,
        ),
    )


def promised_thresholds(
    probabilities: NDArray[np.float64],
    truth: Mask,
    labels: Sequence[str],
    precision: float,
    report_progress: ReportProgress,
) -> tuple[float, ...]:
    """Return for each label the lowest threshold that keeps the promised precision.

    A label for which none does gets the threshold 1, so that it is not accepted.

    Args:
        probabilities: (N, K), out of fold, of different photos.
        truth: (N, K) whether each photo has each label.
        labels: the names of the labels.
        precision: the share of right ones among the photos for which a label is accepted.
        report_progress: called with a line about the labels that are never accepted.

    Raises:
        PromiseUnattainable: no threshold of any label keeps it.
    """
    found = [
        acceptance.choose(
            [Outcomes(probabilities[:, k].astype(np.float32), truth[:, k])], precision
        )
        for k in range(truth.shape[1])
    ]
    never = [name for name, threshold in zip(labels, found, strict=True) if threshold is None]
    if len(never) == len(found):
        raise PromiseUnattainable(
            f"A precision of {precision:g} can't be promised for any label with {len(truth)} photos"
            f", at {100 * acceptance.CONFIDENCE:.0f} % confidence. Add photos, or lower "
            "--accept-precision."
        )
    if never:
        report_progress(
            f"never accepted, since no threshold keeps a precision of {precision:g}: "
            f"{', '.join(never)}"
        )
    return tuple(1.0 if threshold is None else min(threshold, 1.0) for threshold in found)


def _embed(training_data: TrainingData, backbone: Path) -> Embeddings:
    session = Session(backbone, "cpu", "fp32")
    rows = training_data.examples.rows.tolist()
    return run_graph(session, ["embedding"], training_data.pixels, rows, "embedding photos")[0]


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
