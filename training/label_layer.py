"""Embeddings and label matrix -> the last layer of a multi-label model: a regression a label.

    embeddings, folds -> cross_validate: the C with the best out-of-fold likelihood
                      -> out-of-fold logits, which each label is calibrated on
    embeddings, C     -> fit: the layer of the bundle, from all photos

Each label has its own logistic regression, one against the rest. All are fitted together by L-BFGS:
their losses are summed, so one matrix product serves all labels. C is the inverse regularisation
strength, as in scikit-learn and in training.last_layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from training.last_layer import C_VALUES, Head
from training.parallel import map_in_order

Embeddings = NDArray[np.float32]
Floats = NDArray[np.floating]
Integers = NDArray[np.intp]
Mask = NDArray[np.bool_]

_MAX_STEPS = 500
_TOLERANCE = 1e-6
"""The largest gradient of the mean loss at which the fit ends."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The selected C and the out-of-fold results that selected it."""

    c: float
    losses: dict[float, float]
    """The mean negative log-likelihood out of fold, over photos and labels, by C."""
    logits: NDArray[np.float64]
    """(N, K), each photo's by the layer that was fitted without its fold."""
    heads: list[Head]
    """By fold, the layer that was fitted without it."""


def cross_validate(embeddings: Embeddings, truth: Mask, folds: Integers) -> CrossValidation:
    """For each fold and each C, fit a layer without that fold; select the C with the lowest loss.

    Args:
        embeddings: (N, D).
        truth: (N, K) whether each photo has each label.
        folds: (N,) numbers from 0.
    """

    def fit_without(fold: int) -> list[Head]:
        outside = folds != fold
        return _fit_path(embeddings[outside], truth[outside], C_VALUES)

    with threadpool_limits(1):  # a fold on each core
        by_fold = list(map_in_order(fit_without, range(folds.max() + 1), "selecting C"))
    heads = dict(zip(C_VALUES, map(list, zip(*by_fold, strict=True)), strict=True))
    logits = {c: np.empty(truth.shape) for c in C_VALUES}
    for c, fitted in heads.items():
        for fold, head in enumerate(fitted):
            logits[c][folds == fold] = head.logits(embeddings[folds == fold])
    losses = {c: _loss(values, truth) for c, values in logits.items()}
    best = min(losses, key=losses.__getitem__)
    return CrossValidation(best, losses, logits[best], heads[best])


def fit(embeddings: Embeddings, truth: Mask, c: float) -> Head:
    """Return the layer that is fitted with one C."""
    return _fit_path(embeddings, truth, (c,))[0]


def _fit_path(embeddings: Embeddings, truth: Mask, c_values: Sequence[float]) -> list[Head]:
    """Fit a layer with each of the rising `c_values`, beginning at that of the previous C."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    scale = float(embeddings.std(dtype=np.float64)) or 1.0
    inputs = ((embeddings - mean) / scale).astype(np.float32)
    targets = truth.astype(np.float32)
    start = np.zeros((truth.shape[1], inputs.shape[1] + 1))
    start[:, -1] = _prior_logits(truth)
    heads = []
    for c in c_values:
        start = _minimum(inputs, targets, c, start)
        weight, bias = start[:, :-1] / scale, start[:, -1]
        heads.append(Head(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)))
    return heads


def _minimum(inputs: Embeddings, targets: Embeddings, c: float, start: Floats) -> Floats:
    """Return the weights (K, D + 1), the bias last, with the least regularised loss."""
    photos = len(inputs)
    shape = start.shape

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        logits = inputs @ weights[:, :-1].T.astype(np.float32) + weights[:, -1]
        penalty = float((weights[:, :-1] ** 2).sum()) / (2 * c * photos)
        loss = float((np.logaddexp(0, logits) - targets * logits).sum()) / photos
        errors = (expit(logits) - targets).astype(np.float32)
        gradient = np.empty(shape)
        gradient[:, :-1] = errors.T @ inputs / photos + weights[:, :-1] / (c * photos)
        gradient[:, -1] = errors.sum(axis=0, dtype=np.float64) / photos
        return loss + penalty, gradient.ravel()

    options = {"maxiter": _MAX_STEPS, "gtol": _TOLERANCE, "ftol": 1e-10}
    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(shape))


def _prior_logits(truth: Mask) -> Floats:
    """Return the logit of each label's share of the photos, by Laplace's rule of succession."""
    share = (truth.sum(axis=0) + 1) / (len(truth) + 2)
    return np.asarray(np.log(share / (1 - share)))


def _loss(logits: Floats, truth: Mask) -> float:
    return float((np.logaddexp(0, logits) - truth * logits).mean())
