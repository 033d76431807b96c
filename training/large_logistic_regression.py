"""Multinomial logistic regression in blocks of photos, for many photos or classes.

scikit-learn copies the embeddings in float64 and holds a row of K numbers for each photo. Here the
loss and its gradient are summed over blocks, in float32, so the memory depends on the number of
classes alone. The loss is scikit-learn's: C times the sum of the negative log-likelihoods, plus
half the squared length of the weights. L-BFGS minimises it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]

_BLOCK_NUMBERS = 4_000_000
"""Logits of a block."""
_MAX_STEPS = 200
_TOLERANCE = 1e-4
"""Of the gradient of the mean loss; scikit-learn's own is as large."""
_REMEMBERED_STEPS = 6
_BINARY = 2


def fit(
    embeddings: Floats,
    truth: Integers,
    photos: Integers,
    c: float,
    mean: Floats,
    scale: float,
    start: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return weights and biases (K, D + 1) for embeddings that are centred and scaled.

    Args:
        embeddings: (N, D).
        truth: (N,) class indices, 0 to K-1.
        photos: (M,) indices of those that are fitted on; one may occur twice.
        c: the inverse regularisation strength.
        mean: (D,) is subtracted from the embeddings.
        scale: divides them.
        start: (K, D + 1) from which the search begins; None: zeros.
    """
    classes, width = int(truth.max()) + 1, embeddings.shape[1]
    shape = (classes, width + 1)
    # Of two classes, scikit-learn fits the difference of the logits, which is twice as regularised.
    strength = (2 if classes == _BINARY else 1) / (c * len(photos))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape).astype(np.float32)
        total, gradient = 0.0, np.zeros(shape, np.float32)
        for inputs, labels in _blocks(embeddings, truth, photos, classes, mean, scale):
            logits = inputs @ weights[:, :-1].T + weights[:, -1]
            logits -= logits.max(axis=1, keepdims=True)
            rows = np.arange(len(labels))
            target = logits[rows, labels].astype(np.float64)
            np.exp(logits, out=logits)
            sums = logits.sum(axis=1, keepdims=True)
            total += float((np.log(sums[:, 0].astype(np.float64)) - target).sum())
            logits /= sums
            logits[rows, labels] -= 1
            gradient[:, :-1] += logits.T @ inputs
            gradient[:, -1] += logits.sum(axis=0)
        mean_gradient = gradient.astype(np.float64) / len(photos)
        without_bias = flat.reshape(shape)[:, :-1]
        mean_gradient[:, :-1] += strength * without_bias
        penalty = strength / 2 * float((without_bias**2).sum())
        return total / len(photos) + penalty, mean_gradient.ravel()

    first = np.zeros(shape) if start is None else start.astype(np.float64)
    found = minimize(
        loss,
        first.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_STEPS, "gtol": _TOLERANCE, "maxcor": _REMEMBERED_STEPS},
    )
    return np.asarray(found.x.reshape(shape), np.float32)


def moments(embeddings: Floats, photos: Integers) -> tuple[NDArray[np.float64], float]:
    """Return the mean (D,) and the standard deviation of all numbers, summed in blocks."""
    total, squares = np.zeros(embeddings.shape[1]), 0.0
    for chosen in _chunks(photos, embeddings.shape[1]):
        block = embeddings[chosen].astype(np.float64)
        total += block.sum(axis=0)
        squares += float((block**2).sum())
    mean = total / len(photos)
    count = len(photos) * embeddings.shape[1]
    variance = squares / count - float(mean.mean()) ** 2
    return mean, max(variance, 0.0) ** 0.5 or 1.0


def _blocks(
    embeddings: Floats,
    truth: Integers,
    photos: Integers,
    classes: int,
    mean: Floats,
    scale: float,
) -> Iterator[tuple[NDArray[np.float32], Integers]]:
    centre, factor = mean.astype(np.float32), np.float32(1 / scale)
    for chosen in _chunks(photos, max(classes, embeddings.shape[1])):
        yield (embeddings[chosen].astype(np.float32) - centre) * factor, truth[chosen]


def _chunks(photos: Integers, width: int) -> Iterator[Integers]:
    size = max(1, _BLOCK_NUMBERS // width)
    for first in range(0, len(photos), size):
        yield photos[first : first + size]
