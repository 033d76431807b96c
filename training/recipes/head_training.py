"""Photos -> the last layer of the recipe `head`, its temperature and its prototypes.

    pixels -> the backbone's embeddings, on all cores; with quality best, of mirrored photos too
           -> folds of train and val -> C, and whether mirrored photos help
           -> temperature, out-of-distribution threshold
           -> the head and the prototypes, from all of train and val

Nothing is fitted on the test split. A photo and its mirror image are in the same fold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.bundle import UnknownRule
from training import calibration, familiarity
from training.contracts import ReportProgress, TrainingData
from training.data.split import folds_of_classes
from training.last_layer import CrossValidation, Head, cross_validate, fit_head
from training.recipes.embedding import Embed, Embeddings, train_val_first
from training.recipes.out_of_fold import OutOfFoldPredictor

Quality = Literal["fast", "best"]
PLAIN, MIRRORED = "out of fold", "with mirrored photos"
"""The names of the ways in which a head is fitted."""
_MAX_TEMPERATURE_LOGITS = 10_000_000
"""Logits that the temperature is fitted on; it is one number, so that is plenty."""
Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """The last layer, and the results of its cross-validation."""

    test_embeddings: Embeddings
    """(T, D) of the test photos."""
    c: float
    """The inverse regularisation strength."""
    losses: Mapping[str, Mapping[float, float]]
    """The mean negative log-likelihood out of fold by C, of each way that was tried."""
    uses_mirrored: bool
    """Whether the head was fitted on mirrored photos too."""
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
    training_data: TrainingData,
    backbone: Path,
    quality: Quality,
    embed: Embed,
    report_progress: ReportProgress,
) -> TrainedHead:
    """Train on train and val together, on the embeddings of the graph `backbone`."""
    examples = training_data.examples
    train_val = examples.indices_of("train", "val")
    truth = examples.truth[train_val]
    folds = folds_of_classes(truth, examples.groups[train_val], training_data.seed)
    order = train_val_first(examples)
    embeddings = embed(backbone, training_data, order)
    inputs, of_test = embeddings[: len(train_val)], embeddings[len(train_val) :]
    validated = cross_validate(inputs, truth, folds)
    losses, changed = {PLAIN: validated.losses}, None
    if quality == "best":
        mirrored = embed(backbone, training_data, train_val, mirrored=True)
        other = cross_validate(inputs, truth, folds, mirrored)
        losses[MIRRORED] = other.losses
        report_progress(_comparison(validated, other))
        if _loss(other) < _loss(validated):
            validated, changed = other, mirrored
    report_progress(
        f"selected C = {validated.c:g} (cross-validated accuracy {100 * validated.accuracy:.1f} %)"
    )

    label_smoothing = calibration.label_smoothing_for(len(truth))
    rows = _temperature_rows(len(truth), len(examples.labels), training_data.seed)
    logits = validated.logits(inputs, folds, rows)
    temperature = calibration.fit_temperature(logits, truth[rows], label_smoothing)
    del logits
    prototypes, unknown, scores = _fit_prototypes(inputs, truth, folds, of_test, training_data.seed)
    report_progress(
        f"temperature {temperature:.3f}; {len(prototypes)} prototypes, familiarity threshold "
        f"{unknown.threshold:.3f}, reached by {100 * unknown.accepts:.1f} % of the test photos"
    )
    head = fit_head(inputs, truth, validated.c, changed)
    return TrainedHead(
        test_embeddings=of_test,
        c=validated.c,
        losses=losses,
        uses_mirrored=changed is not None,
        head=head,
        temperature=temperature,
        prototypes=prototypes,
        unknown=unknown,
        familiarity=scores,
        predictor=OutOfFoldPredictor(
            training_data.pixels,
            examples.rows,
            embeddings,
            order,
            [*validated.heads, head],
            folds,
            temperature,
        ),
    )


def _temperature_rows(count: int, classes: int, seed: int) -> Integers:
    """Return the photos that the temperature is fitted on: all, unless there are very many."""
    most = max(1, _MAX_TEMPERATURE_LOGITS // classes)
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _loss(validated: CrossValidation) -> float:
    return validated.losses[validated.c]


def _comparison(plain: CrossValidation, mirrored: CrossValidation) -> str:
    are_used = _loss(mirrored) < _loss(plain)
    return (
        f"mirrored photos {'are' if are_used else 'are not'} used: negative log-likelihood "
        f"{_loss(mirrored):.4f} with them, {_loss(plain):.4f} without"
    )


def _fit_prototypes(
    embeddings: Embeddings, truth: Integers, folds: Integers, of_test: Embeddings, seed: int
) -> tuple[NDArray[np.float32], UnknownRule, NDArray[np.float64]]:
    """Return the prototypes, the threshold that accepts 95 % of photos out of fold, and scores."""
    scores = familiarity.out_of_fold(embeddings, truth, folds, seed)
    threshold = familiarity.threshold(scores)
    prototypes = familiarity.prototypes(embeddings, truth, seed)
    accepted = familiarity.score(of_test, prototypes) >= threshold
    rule = UnknownRule(score="familiarity", threshold=threshold, accepts=float(accepted.mean()))
    return prototypes, rule, scores
