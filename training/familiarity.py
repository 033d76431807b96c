"""Embeddings of the training photos -> prototypes -> how familiar another photo is.

familiarity = the cosine between a photo's embedding and the nearest prototype. Prototypes are the
k-means centres of each class's embeddings, scaled to length 1. The out-of-distribution threshold
accepts 95 % of known photos, each scored against prototypes that were made without its fold.
docs/decisions/training.md compares other scores and other numbers of prototypes.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]

PER_CLASS = 50
IN_ALL = 1000
"""With more classes than this, each class has one prototype."""
ACCEPTS = 0.95
_STEPS = 20


def prototypes(
    embeddings: Floats, truth: Integers, seed: int, per_class: int = PER_CLASS
) -> NDArray[np.float32]:
    """Return the prototypes (P, D) of length 1: up to `per_class` a class, about 1,000 in all.

    Args:
        embeddings: (N, D) of known photos.
        truth: (N,) class indices.
        seed: fixes the start of k-means.
        per_class: the most prototypes of a class, where there are few classes.
    """
    classes = np.unique(truth)
    count = max(1, min(per_class, IN_ALL // len(classes)))
    unit = _to_unit_length(embeddings)
    centres = [_centres(unit[truth == label], count, seed) for label in classes]
    return _to_unit_length(np.concatenate(centres)).astype(np.float32)


def score(embeddings: Floats, known: Floats) -> NDArray[np.float64]:
    """Return the familiarity (N,) of embeddings (N, D) by prototypes (P, D) of length 1."""
    return np.asarray((_to_unit_length(embeddings) @ known.T.astype(np.float64)).max(axis=1))


def out_of_fold(
    embeddings: Floats, truth: Integers, folds: Integers, seed: int
) -> NDArray[np.float64]:
    """Return the familiarity (N,) of known photos by prototypes made without each photo's fold."""
    scores = np.empty(len(truth))
    for fold in range(folds.max() + 1):
        inside = folds == fold
        known = prototypes(embeddings[~inside], truth[~inside], seed)
        scores[inside] = score(embeddings[inside], known)
    return scores


def threshold(scores: Floats) -> float:
    """Return the score that 95 % of known photos reach."""
    return float(np.quantile(scores, 1 - ACCEPTS))


def _centres(unit: Floats, count: int, seed: int) -> Floats:
    if len(unit) <= count:
        return unit
    with warnings.catch_warnings(), threadpool_limits(1):
        # Fewer distinct photos than centres, or no convergence within the steps: both are harmless.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(count, n_init=1, max_iter=_STEPS, random_state=seed).fit(unit)
    return np.asarray(means.cluster_centers_)


def _to_unit_length(vectors: Floats) -> NDArray[np.float64]:
    doubles = vectors.astype(np.float64)
    lengths = np.linalg.norm(doubles, axis=1, keepdims=True)
    return np.asarray(doubles / np.maximum(lengths, np.finfo(np.float32).tiny))
