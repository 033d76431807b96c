"""Embeddings and classes -> the last layer: a multinomial logistic regression.

    embeddings, folds -> cross_validate: the C with the best out-of-fold likelihood
                      -> out-of-fold logits, which the temperature is fitted on
    embeddings, C     -> fit_head: the head of the bundle, from all photos

C is the inverse regularisation strength, as in scikit-learn. Embeddings are centred and scaled by
one number before the fit, so that C has the same effect for any network. Both steps are then
folded into weight and bias.
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

C_VALUES = (0.001, 0.01, 0.1, 1.0)
"""The larger C, the weaker the regularisation; docs/experiments.md (2026-11-23) has the results."""
_MAX_STEPS = 1000
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Head:
    """The last layer of a network."""

    weight: NDArray[np.float32]
    """(K, D)."""
    bias: NDArray[np.float32]
    """(K,)."""

    def logits(self, embeddings: Floats) -> NDArray[np.float64]:
        """Return the logits (N, K) of embeddings (N, D)."""
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        return np.asarray(embeddings.astype(np.float64) @ weight.T + bias)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The selected C and the out-of-fold results that selected it."""

    c: float
    losses: dict[float, float]
    """The mean negative log-likelihood out of fold, by C."""
    logits: NDArray[np.float64]
    """(N, K), each photo's by the head that was fitted without its fold."""
    heads: list[Head]
    """By fold, the head that was fitted without it."""


def cross_validate(embeddings: Floats, truth: Integers, folds: Integers) -> CrossValidation:
    """For each fold and each C, fit a head without that fold; select the C with the lowest loss.

    Args:
        embeddings: (N, D).
        truth: (N,) class indices, 0 to K-1; after removing any fold, every class must remain.
        folds: (N,) numbers from 0.
    """

    def fit_without(fold: int) -> list[Head]:
        outside = folds != fold
        return _fit_path(embeddings[outside], truth[outside], C_VALUES)

    with threadpool_limits(1):  # a fold on each core; BLAS's own threads take ten times as long
        by_fold = list(map_in_order(fit_without, range(folds.max() + 1), "selecting C"))
    heads = dict(zip(C_VALUES, map(list, zip(*by_fold, strict=True)), strict=True))
    logits = {c: np.empty((len(truth), truth.max() + 1)) for c in C_VALUES}
    for c, fitted in heads.items():
        for fold, head in enumerate(fitted):
            logits[c][folds == fold] = head.logits(embeddings[folds == fold])
    losses = {c: _loss(values, truth) for c, values in logits.items()}
    best = min(losses, key=losses.__getitem__)
    return CrossValidation(best, losses, logits[best], heads[best])


def fit_head(embeddings: Floats, truth: Integers, c: float) -> Head:
    """Return the head that is fitted with one C."""
    with threadpool_limits(1):
        return _fit_path(embeddings, truth, (c,))[0]


def _fit_path(embeddings: Floats, truth: Integers, c_values: tuple[float, ...]) -> list[Head]:
    """Fit a head with each of the rising `c_values`, warm-started from the previous C."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    scale = float(embeddings.std(dtype=np.float64)) or 1.0
    inputs = (embeddings - mean) / scale
    model = LogisticRegression(max_iter=_MAX_STEPS, tol=_TOLERANCE, warm_start=True)
    heads = []
    for c in c_values:
        model.set_params(C=c).fit(inputs, truth)
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:  # for two classes, scikit-learn fits the difference of the logits
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight = weight / scale
        heads.append(Head(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)))
    return heads


def _loss(logits: Floats, truth: Integers) -> float:
    target = softmax(logits)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(target, np.finfo(np.float64).tiny)).mean())
