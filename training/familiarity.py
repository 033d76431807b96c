"""Embeddings of the training photos -> prototypes -> how familiar another photo is.

familiarity = the cosine between a photo's embedding and the nearest prototype. Prototypes are the
k-means centres of each class's embeddings, scaled to length 1. The out-of-distribution threshold
accepts 95 % of known photos. For the recipe `head` these are train and val, each scored against
prototypes that were made without its fold; for the other recipes they are val.
docs/experiments.md (2026-11-23) compares other scores and other numbers of prototypes.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]

PROTOTYPES_PER_CLASS = 50
MAX_PROTOTYPES = 1000
"""The largest number of prototypes of all classes; each class has one at least."""
ACCEPTED_SHARE = 0.95
_MAX_ITERATIONS = 20
_BLOCK = 1024


def prototypes(
    embeddings: Floats, truth: Integers, seed: int, per_class: int = PROTOTYPES_PER_CLASS
) -> NDArray[np.float32]:
    """Return the prototypes (P, D) of length 1: up to `per_class` a class, about 1,000 in all.

    Args:
        embeddings: (N, D) of known photos.
        truth: (N,) class indices; a photo with -1 is left out.
        seed: fixes the start of k-means.
        per_class: the largest number of prototypes of a class.
    """
    classes = np.unique(truth[truth >= 0])
    count = max(1, min(per_class, MAX_PROTOTYPES // len(classes)))
    centres = [
        _centres(_to_unit_length(embeddings[truth == label]), count, seed) for label in classes
    ]
    return _to_unit_length(np.concatenate(centres)).astype(np.float32)


def score(embeddings: Floats, known: Floats) -> NDArray[np.float64]:
    """Return the familiarity (N,) of embeddings (N, D) by prototypes (P, D) of length 1."""
    transposed = known.T.astype(np.float64)
    scores = np.empty(len(embeddings))
    for first in range(0, len(embeddings), _BLOCK):
        block = slice(first, first + _BLOCK)
        scores[block] = (_to_unit_length(embeddings[block]) @ transposed).max(axis=1)
    return scores


def out_of_fold(
    embeddings: Floats, truth: Integers, folds: Integers, seed: int
) -> NDArray[np.float64]:
    """Return the familiarity (N,) of known photos by prototypes made without each photo's fold."""
    scores = np.empty(len(truth))
    for fold in range(folds.max() + 1):
        known = prototypes(embeddings, np.where(folds == fold, -1, truth), seed)
        inside = np.flatnonzero(folds == fold)
        for first in range(0, len(inside), _BLOCK):
            rows = inside[first : first + _BLOCK]
            scores[rows] = score(embeddings[rows], known)
    return scores


def threshold(scores: Floats) -> float:
    """Return the score that 95 % of known photos reach."""
    return float(np.quantile(scores, 1 - ACCEPTED_SHARE))


def _centres(unit: Floats, count: int, seed: int) -> Floats:
    if len(unit) <= count:
        return unit
    with warnings.catch_warnings(), threadpool_limits(1):
        # Fewer distinct photos than centres, or no convergence within the steps: both are harmless.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(count, n_init=1, max_iter=_MAX_ITERATIONS, random_state=seed).fit(unit)
    return np.asarray(means.cluster_centers_)


def _to_unit_length(vectors: Floats) -> NDArray[np.float64]:
    vectors64 = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors64, axis=1, keepdims=True)
    return np.asarray(vectors64 / np.maximum(lengths, np.finfo(np.float32).tiny))
