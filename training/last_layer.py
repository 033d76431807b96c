"""Embeddings and classes -> the last layer: a multinomial logistic regression.

    embeddings, folds -> cross_validate: the C with the best out-of-fold likelihood
                      -> its out-of-fold logits, which the temperature is fitted on
    embeddings, C     -> fit_head: the head of the bundle, from all photos

Embeddings of changed photos, such as mirrored ones, may be fitted on too. A fold holds out a photo
with all its changed ones, and predicts the photo alone.

C is the inverse regularisation strength, as in scikit-learn. Embeddings are centred and scaled by
one number before the fit, so that C has the same effect for any network. Both steps are then
folded into weight and bias.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from training import large_logistic_regression
from training.calibration import softmax
from training.parallel import map_in_order

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]

C_VALUES = (0.001, 0.01, 0.1, 1.0)
"""The larger C, the weaker the regularisation; docs/experiments.md (2026-11-23) has the results."""
_LARGE = 20_000_000
"""Numbers of embeddings, or logits, from which a fit goes through them in blocks."""
_MAX_LOGITS = 20_000_000
"""With more logits, each fold's head is fitted on a sample of the photos."""
_BLOCK = 1024
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
    accuracy: float
    """The share of photos that are predicted right out of fold."""
    heads: list[Head]
    """By fold, the head that was fitted without it."""

    def logits(
        self, embeddings: Floats, folds: Integers, photos: Integers | None = None
    ) -> NDArray[np.float64]:
        """Return logits (M, K), each photo's by the head that was fitted without its fold.

        Args:
            embeddings: (N, D), those of the cross-validation.
            folds: (N,) its folds.
            photos: (M,) indices of some photos; None: all.
        """
        photos = np.arange(len(folds)) if photos is None else photos
        logits = np.empty((len(photos), len(self.heads[0].bias)))
        for fold, head in enumerate(self.heads):
            inside = folds[photos] == fold
            logits[inside] = head.logits(embeddings[photos[inside]])
        return logits


def cross_validate(
    embeddings: Floats, truth: Integers, folds: Integers, changed: Floats | None = None
) -> CrossValidation:
    """For each fold and each C, fit a head without that fold; select the C with the lowest loss.

    Args:
        embeddings: (N, D).
        truth: (N,) class indices, 0 to K-1; after removing any fold, every class must remain.
        folds: (N,) numbers from 0.
        changed: (N, D) of the same photos, changed; they are fitted on too.
    """
    inputs, labels = _with_changed(embeddings, truth, changed)
    fold_of = folds if changed is None else np.tile(folds, 2)

    def fit_without(fold: int) -> list[Head]:
        return _fit_path(inputs, labels, np.flatnonzero(fold_of != fold), C_VALUES, _MAX_LOGITS)

    with threadpool_limits(1):  # a fold on each core; BLAS's own threads take ten times as long
        by_fold = list(map_in_order(fit_without, range(folds.max() + 1), "selecting C"))
    heads = dict(zip(C_VALUES, map(list, zip(*by_fold, strict=True)), strict=True))
    figures = {c: _held_out(embeddings, truth, folds, fitted) for c, fitted in heads.items()}
    losses = {c: loss for c, (loss, _) in figures.items()}
    best = min(losses, key=losses.__getitem__)
    return CrossValidation(best, losses, figures[best][1], heads[best])


def fit_head(embeddings: Floats, truth: Integers, c: float, changed: Floats | None = None) -> Head:
    """Return the head that is fitted with one C, on the photos and, if given, on changed ones."""
    inputs, labels = _with_changed(embeddings, truth, changed)
    photos = np.arange(len(labels))
    if _is_large(inputs, labels, photos):  # there is one fit, so BLAS may use all cores
        return _fit_path(inputs, labels, photos, (c,))[0]
    with threadpool_limits(1):
        return _fit_path(inputs, labels, photos, (c,))[0]


def _with_changed(
    embeddings: Floats, truth: Integers, changed: Floats | None
) -> tuple[Floats, Integers]:
    if changed is None:
        return embeddings, truth
    return np.concatenate([embeddings, changed]), np.concatenate([truth, truth])


def _is_large(embeddings: Floats, truth: Integers, photos: Integers) -> bool:
    width = max(embeddings.shape[1], int(truth.max()) + 1)
    return bool(len(photos) * width > _LARGE)


def _fit_path(
    embeddings: Floats,
    truth: Integers,
    photos: Integers,
    c_values: tuple[float, ...],
    max_logits: int | None = None,
) -> list[Head]:
    """Fit a head with each of the rising `c_values`, warm-started from the previous C.

    Args:
        embeddings: (N, D).
        truth: (N,) class indices.
        photos: indices of those that are fitted on.
        c_values: the values of C.
        max_logits: fit on fewer of the photos where those times the classes are more.
    """
    if _is_large(embeddings, truth, photos):
        return _fit_large(embeddings, truth, photos, c_values, max_logits)
    embeddings, truth = embeddings[photos], truth[photos]
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
        heads.append(_folded(weight, bias, mean, scale))
    return heads


def _fit_large(
    embeddings: Floats,
    truth: Integers,
    photos: Integers,
    c_values: tuple[float, ...],
    max_logits: int | None,
) -> list[Head]:
    if max_logits is not None:
        photos = _sample(photos, truth, max_logits // (int(truth.max()) + 1))
    mean, scale = large_logistic_regression.moments(embeddings, photos)
    weights, heads = None, []
    for c in c_values:
        weights = large_logistic_regression.fit(embeddings, truth, photos, c, mean, scale, weights)
        heads.append(_folded(weights[:, :-1], weights[:, -1], mean, scale))
    return heads


def _folded(weight: Floats, bias: Floats, mean: Floats, scale: float) -> Head:
    """Return the head for embeddings that are neither centred nor scaled."""
    weight = weight / scale
    return Head(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32))


def _sample(photos: Integers, truth: Integers, most: int) -> Integers:
    """Return about `most` of the photos, drawn at random, the same share of each class."""
    if len(photos) <= most:
        return photos
    order = np.random.default_rng(0).permutation(photos)
    order = order[np.argsort(truth[order], kind="stable")]
    _, first, counts = np.unique(truth[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, counts)
    kept = np.ceil(counts * (most / len(photos)))
    return np.sort(order[rank < np.repeat(kept, counts)])


def _held_out(
    embeddings: Floats, truth: Integers, folds: Integers, heads: list[Head]
) -> tuple[float, float]:
    """Return the mean negative log-likelihood and the accuracy out of fold."""
    losses, right = np.empty(len(truth)), 0
    for fold, head in enumerate(heads):
        inside = np.flatnonzero(folds == fold)
        for first in range(0, len(inside), _BLOCK):
            rows = inside[first : first + _BLOCK]
            logits = head.logits(embeddings[rows])
            target = softmax(logits)[np.arange(len(rows)), truth[rows]]
            losses[rows] = -np.log(np.maximum(target, np.finfo(np.float64).tiny))
            right += int((logits.argmax(axis=1) == truth[rows]).sum())
    return float(losses.mean()), right / len(truth)
