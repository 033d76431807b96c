"""Photos -> everything that the recipe `head` learns from them.

    pixels -> the backbone's embeddings, on all cores
           -> folds of train and val -> strength -> temperature, threshold of familiarity
           -> the head and the prototypes, from all of train and val

Nothing here looks at test, but to tell how much of it the threshold accepts.
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
from training.data.split import FOLDS, deal
from training.last_layer import Head, choose, fit
from training.parallel import run_graph
from training.recipes.out_of_fold import OutOfFoldPredictor

Integers = NDArray[np.intp]
Embeddings = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Learnt:
    """The last layer, and what cross-validation chose it by."""

    embeddings: Embeddings
    """(N, D) of all photos."""
    strength: float
    losses: Mapping[float, float]
    """By strength, the mean negative log-likelihood out of fold."""
    head: Head
    temperature: float
    prototypes: NDArray[np.float32]
    """(P, D) of length 1."""
    unknown: UnknownRule
    predictor: OutOfFoldPredictor
    """All photos, each with a head that did not see it."""


def learn(training_data: TrainingData, backbone: Bundle, report_progress: ReportProgress) -> Learnt:
    """Learn from train and val together, on the embeddings of `backbone`."""
    examples = training_data.examples
    embeddings = _embed(training_data, backbone)
    own = examples.of("train", "val")
    inputs, truth = embeddings[own], examples.truth[own]
    folds = deal(truth, examples.groups[own], [1.0] * FOLDS, training_data.seed)
    choice = choose(inputs, truth, folds)
    right = accuracy.top_k_accuracy(choice.logits, truth, 1)
    report_progress(f"strength {choice.strength:g}: {100 * right:.1f} % right, cross-validated")

    label_smoothing = calibration.label_smoothing_for(len(truth))
    temperature = calibration.fit_temperature(choice.logits, truth, label_smoothing)
    prototypes, unknown = _familiar(training_data, embeddings, folds)
    report_progress(
        f"temperature {temperature:.3f}; {len(prototypes)} prototypes, familiarity from "
        f"{unknown.threshold:.3f} accepts {100 * unknown.accepts:.1f} % of the test photos"
    )
    fitted = fit(inputs, truth, choice.strength)
    head_of = np.full(len(embeddings), len(choice.heads), np.intp)
    head_of[own] = folds
    heads = [*choice.heads, fitted]
    return Learnt(
        embeddings=embeddings,
        strength=choice.strength,
        losses=choice.losses,
        head=fitted,
        temperature=temperature,
        prototypes=prototypes,
        unknown=unknown,
        predictor=OutOfFoldPredictor(
            training_data.pixels, examples.rows, embeddings, heads, head_of, temperature
        ),
    )


def _embed(training_data: TrainingData, backbone: Bundle) -> Embeddings:
    session = Session(backbone.model_path("fp32"), "cpu", "fp32")
    rows = training_data.examples.rows.tolist()
    return run_graph(session, ["embedding"], training_data.pixels, rows, "embedding photos")[0]


def _familiar(
    training_data: TrainingData, embeddings: Embeddings, folds: Integers
) -> tuple[NDArray[np.float32], UnknownRule]:
    """The prototypes, and the rule whose threshold accepts 95 % of what they did not see."""
    own, tested = training_data.examples.of("train", "val"), training_data.examples.of("test")
    inputs, truth = embeddings[own], training_data.examples.truth[own]
    scores = familiarity.out_of_fold(inputs, truth, folds, training_data.seed)
    threshold = familiarity.threshold(scores)
    prototypes = familiarity.prototypes(inputs, truth, training_data.seed)
    accepted = familiarity.score(embeddings[tested], prototypes) >= threshold
    return prototypes, UnknownRule(
        score="familiarity", threshold=threshold, accepts=float(accepted.mean())
    )
