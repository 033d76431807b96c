"""Embeddings of the training's photos -> prototypes -> how familiar another photo looks.

familiarity = the cosine between a photo's embedding and the nearest prototype. Prototypes are
k-means centres of each class's embeddings, all of length 1: DECISIONS.md has what other scores,
and other numbers of prototypes, tell apart. The threshold accepts 95 % of known photos, each
scored against prototypes that were made without its fold.
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
"""More classes than this have one prototype each."""
ACCEPTS = 0.95
_STEPS = 20


def prototypes(
    embeddings: Floats, truth: Integers, seed: int, per_class: int = PER_CLASS
) -> NDArray[np.float32]:
    """At most `per_class` of each class, and 1,000 in all; (P, D) of length 1.

    Args:
        embeddings: (N, D) of known photos.
        truth: (N,) class indices.
        seed: where k-means begins.
        per_class: how many, where there are few classes.
    """
    classes = np.unique(truth)
    count = max(1, min(per_class, IN_ALL // len(classes)))
    unit = _of_length_1(embeddings)
    centres = [_centres(unit[truth == label], count, seed) for label in classes]
    return _of_length_1(np.concatenate(centres)).astype(np.float32)


def score(embeddings: Floats, known: Floats) -> NDArray[np.float64]:
    """The familiarity (N,) of embeddings (N, D), by prototypes (P, D) of length 1."""
    return np.asarray((_of_length_1(embeddings) @ known.T.astype(np.float64)).max(axis=1))


def out_of_fold(
    embeddings: Floats, truth: Integers, folds: Integers, seed: int
) -> NDArray[np.float64]:
    """The familiarity (N,) of each known photo, by prototypes that were made without its fold."""
    scores = np.empty(len(truth))
    for fold in range(folds.max() + 1):
        inside = folds == fold
        known = prototypes(embeddings[~inside], truth[~inside], seed)
        scores[inside] = score(embeddings[inside], known)
    return scores


def threshold(scores: Floats) -> float:
    """The score that 95 % of known photos reach."""
    return float(np.quantile(scores, 1 - ACCEPTS))


def _centres(unit: Floats, count: int, seed: int) -> Floats:
    if len(unit) <= count:
        return unit
    with warnings.catch_warnings(), threadpool_limits(1):
        # Fewer different photos than centres, or no rest within the steps: both do no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(count, n_init=1, max_iter=_STEPS, random_state=seed).fit(unit)
    return np.asarray(means.cluster_centers_)


def _of_length_1(vectors: Floats) -> NDArray[np.float64]:
    doubles = vectors.astype(np.float64)
    lengths = np.linalg.norm(doubles, axis=1, keepdims=True)
    return np.asarray(doubles / np.maximum(lengths, np.finfo(np.float32).tiny))
