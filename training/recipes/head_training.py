"""Photos -> the last layer of the recipe `head`, its temperature and its prototypes.

    pixels -> the backbone's embeddings, on all cores
           -> folds of train and val -> C -> temperature, out-of-distribution threshold
           -> the head and the prototypes, from all of train and val

Nothing is fitted on the test split.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import Bundle, UnknownRule
from app.runtime.evaluation import accuracy
from app.runtime.session import Session
from training import calibration, familiarity
from training.contracts import ReportProgress, TrainingData
from training.data.split import FOLDS, split_by_groups
from training.last_layer import CrossValidation, Head, cross_validate, fit_head
from training.parallel import run_graph
from training.recipes.out_of_fold import OutOfFoldPredictor

Integers = NDArray[np.intp]
Embeddings = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """The last layer, and the results of its cross-validation."""

    embeddings: Embeddings
    """(N, D) of all photos."""
    c: float
    """The inverse regularisation strength."""
    losses: Mapping[float, float]
    """The mean negative log-likelihood out of fold, by C."""
    head: Head
    temperature: float
    prototypes: NDArray[np.float32]
    """(P, D) of length 1."""
    unknown: UnknownRule
    familiarity: NDArray[np.float64]
    """(M,) of the photos of train and val, by prototypes made without each photo's fold."""
    predictor: OutOfFoldPredictor
    """Predicts each photo with a head that was not fitted on it."""


def train_head(
    training_data: TrainingData, backbone: Bundle, report_progress: ReportProgress
) -> TrainedHead:
    """Train on train and val together, on the embeddings of `backbone`."""
    examples = training_data.examples
    embeddings = _embed(training_data, backbone)
    train_val = examples.indices_of("train", "val")
    inputs, truth = embeddings[train_val], examples.truth[train_val]
    folds = split_by_groups(truth, examples.groups[train_val], [1.0] * FOLDS, training_data.seed)
    validated = cross_validate(inputs, truth, folds)
    top1 = accuracy.top_k_accuracy(validated.logits, truth, 1)
    report_progress(f"selected C = {validated.c:g} (cross-validated accuracy {100 * top1:.1f} %)")

    label_smoothing = calibration.label_smoothing_for(len(truth))
    temperature = calibration.fit_temperature(validated.logits, truth, label_smoothing)
    prototypes, unknown, scores = _fit_prototypes(training_data, embeddings, folds)
    report_progress(
        f"temperature {temperature:.3f}; {len(prototypes)} prototypes, familiarity threshold "
        f"{unknown.threshold:.3f}, reached by {100 * unknown.accepts:.1f} % of the test photos"
    )
    head = fit_head(inputs, truth, validated.c)
    return TrainedHead(
        embeddings=embeddings,
        c=validated.c,
        losses=validated.losses,
        head=head,
        temperature=temperature,
        prototypes=prototypes,
        unknown=unknown,
        familiarity=scores,
        predictor=_predictor(training_data, embeddings, validated, folds, head, temperature),
    )


def _embed(training_data: TrainingData, backbone: Bundle) -> Embeddings:
    session = Session(backbone.model_path("fp32"), "cpu", "fp32")
    rows = training_data.examples.rows.tolist()
    return run_graph(session, ["embedding"], training_data.pixels, rows, "embedding photos")[0]


def _fit_prototypes(
    training_data: TrainingData, embeddings: Embeddings, folds: Integers
) -> tuple[NDArray[np.float32], UnknownRule, NDArray[np.float64]]:
    """Return the prototypes, the threshold that accepts 95 % of photos out of fold, and scores."""
    train_val, test = (
        training_data.examples.indices_of("train", "val"),
        training_data.examples.indices_of("test"),
    )
    inputs, truth = embeddings[train_val], training_data.examples.truth[train_val]
    scores = familiarity.out_of_fold(inputs, truth, folds, training_data.seed)
    threshold = familiarity.threshold(scores)
    prototypes = familiarity.prototypes(inputs, truth, training_data.seed)
    accepted = familiarity.score(embeddings[test], prototypes) >= threshold
    rule = UnknownRule(score="familiarity", threshold=threshold, accepts=float(accepted.mean()))
    return prototypes, rule, scores


def _predictor(
    training_data: TrainingData,
    embeddings: Embeddings,
    validated: CrossValidation,
    folds: Integers,
    head: Head,
    temperature: float,
) -> OutOfFoldPredictor:
    """Assign each photo the head fitted without its fold, and each test photo the final `head`."""
    examples = training_data.examples
    head_of = np.full(len(embeddings), len(validated.heads), np.intp)
    head_of[examples.indices_of("train", "val")] = folds
    return OutOfFoldPredictor(
        training_data.pixels,
        examples.rows,
        embeddings,
        [*validated.heads, head],
        head_of,
        temperature,
    )
