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
from training.recipes.embedding import Embed, Embeddings
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

    embeddings: Embeddings
    """(N, D) of all photos."""
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
    embeddings = embed(backbone, training_data, np.arange(len(examples.truth)))
    inputs = embeddings[train_val]
    validated = cross_validate(inputs, truth, folds)
    losses, changed = {PLAIN: validated.losses}, None
    if quality == "best":
        mirrored = embed(backbone, training_data, train_val, mirrored=True)
        other = cross_validate(inputs, truth, folds, mirrored)
        losses[MIRRORED] = other.losses
        report_progress(_comparison(validated, other))
        if _loss(other) < _loss(validated):
            validated, changed = other, mirrored
    top1 = float((validated.logits.argmax(axis=1) == truth).mean())
    report_progress(f"selected C = {validated.c:g} (cross-validated accuracy {100 * top1:.1f} %)")

    label_smoothing = calibration.label_smoothing_for(len(truth))
    rows = _temperature_rows(validated.logits, training_data.seed)
    temperature = calibration.fit_temperature(validated.logits[rows], truth[rows], label_smoothing)
    prototypes, unknown, scores = _fit_prototypes(training_data, embeddings, folds)
    report_progress(
        f"temperature {temperature:.3f}; {len(prototypes)} prototypes, familiarity threshold "
        f"{unknown.threshold:.3f}, reached by {100 * unknown.accepts:.1f} % of the test photos"
    )
    head = fit_head(inputs, truth, validated.c, changed)
    return TrainedHead(
        embeddings=embeddings,
        c=validated.c,
        losses=losses,
        uses_mirrored=changed is not None,
        head=head,
        temperature=temperature,
        prototypes=prototypes,
        unknown=unknown,
        familiarity=scores,
        predictor=_predictor(training_data, embeddings, validated, folds, head, temperature),
    )


def _temperature_rows(logits: NDArray[np.floating], seed: int) -> Integers:
    """Return the photos that the temperature is fitted on: all, unless there are very many."""
    count, classes = logits.shape
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
