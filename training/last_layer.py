"""Embeddings and classes -> the last layer: multinomial logistic regression.

Its strength is the one whose cross-validated likelihood is best: each photo is judged by a head
that was fitted on the other folds. Those out-of-fold logits are what the temperature is fitted on,
too; the head that ships is then fitted on all of them. Embeddings are centred and scaled by one
number before, which weight and bias take up again, so that strengths mean the same for any network.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from training.calibration import softmax
from training.parallel import map_in_order

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""scikit-learn's C: the larger, the freer; DECISIONS.md has what they give."""
_STEPS = 1000
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Head:
    """The last layer."""

    weight: NDArray[np.float32]
    """(K, D)."""
    bias: NDArray[np.float32]
    """(K,)."""

    def logits(self, embeddings: Floats) -> NDArray[np.float64]:
        """(N, K) of (N, D)."""
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        return np.asarray(embeddings.astype(np.float64) @ weight.T + bias)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A strength, and what cross-validation saw of it."""

    strength: float
    losses: dict[float, float]
    """By strength, the mean negative log-likelihood out of fold."""
    logits: NDArray[np.float64]
    """(N, K), each photo's by the head that was fitted without its fold."""
    heads: list[Head]
    """By fold, the head that was fitted without it."""


def choose(embeddings: Floats, truth: Integers, folds: Integers) -> Chosen:
    """Cross-validate every strength.

    Args:
        embeddings: (N, D).
        truth: (N,) class indices, 0 to K-1; each occurs outside every fold.
        folds: (N,) numbers from 0.
    """

    def without(fold: int) -> list[Head]:
        outside = folds != fold
        return _path(embeddings[outside], truth[outside], STRENGTHS)

    with threadpool_limits(1):  # a fold on each core; BLAS's own threads take ten times as long
        by_fold = list(map_in_order(without, range(folds.max() + 1), "choosing strength"))
    heads = dict(zip(STRENGTHS, map(list, zip(*by_fold, strict=True)), strict=True))
    logits = {strength: np.empty((len(truth), truth.max() + 1)) for strength in STRENGTHS}
    for strength, fitted in heads.items():
        for fold, head in enumerate(fitted):
            logits[strength][folds == fold] = head.logits(embeddings[folds == fold])
    losses = {strength: _loss(values, truth) for strength, values in logits.items()}
    best = min(losses, key=losses.__getitem__)
    return Chosen(best, losses, logits[best], heads[best])


def fit(embeddings: Floats, truth: Integers, strength: float) -> Head:
    """The head of one strength."""
    with threadpool_limits(1):
        return _path(embeddings, truth, (strength,))[0]


def _path(embeddings: Floats, truth: Integers, strengths: tuple[float, ...]) -> list[Head]:
    """The heads of rising strengths, each begun where the one before it ended."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    scale = float(embeddings.std(dtype=np.float64)) or 1.0
    inputs = (embeddings - mean) / scale
    model = LogisticRegression(max_iter=_STEPS, tol=_TOLERANCE, warm_start=True)
    heads = []
    for strength in strengths:
        model.set_params(C=strength).fit(inputs, truth)
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:  # two classes: one logit, between them
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight = weight / scale
        heads.append(Head(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)))
    return heads


def _loss(logits: Floats, truth: Integers) -> float:
    right = softmax(logits)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(right, np.finfo(np.float64).tiny)).mean())
