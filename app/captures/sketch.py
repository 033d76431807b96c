"""Short sketches of a photo's features, whose cosines are about those of the features.

    features (D,) -> length 1 -> a random projection to 128 numbers -> a byte each

By Johnson and Lindenstrauss (1984), a random projection keeps angles: with 128 numbers the cosine
of two sketches is off by about 0.09. The features themselves would take forty times the room.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SKETCH_BYTES = 128
_SEED = 24
"""Sketches that were stored stay comparable as long as it is the same."""
_LEVELS = 254.0
"""Steps of a byte in 1: the numbers of a sketch have a standard deviation of 0.09."""
_MAX_LEVEL = 127
_ROWS = 8


def sketch_of(features: NDArray[np.float32]) -> bytes | None:
    """Return the sketch of features (D,), or None if they are zero or not finite."""
    length = float(np.linalg.norm(features))
    if not 0 < length < float("inf"):  # also of NaN
        return None
    projected = (features / length) @ _projection(features.size)
    levels = np.clip(np.rint(projected * _LEVELS), -_MAX_LEVEL, _MAX_LEVEL)
    return levels.astype(np.int8).tobytes()


def cosines(sketches: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the cosine (N, N) of each pair of sketches (N, 128); that with zeros is 0."""
    vectors = sketches.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.maximum(lengths, 1.0)
    # Few rows at a time: of so small a product, a linear algebra library makes no threads, which
    # would wait for the cores that serve requests.
    parts = [vectors[row : row + _ROWS] @ vectors.T for row in range(0, len(vectors), _ROWS)]
    return np.concatenate(parts)


@lru_cache(maxsize=8)
def _projection(dimensions: int) -> NDArray[np.float32]:
    """Return the matrix (D, 128); RandomState draws the same numbers in every version of NumPy."""
    drawn = np.random.RandomState(_SEED).standard_normal((dimensions, SKETCH_BYTES))
    projection: NDArray[np.float32] = (drawn / np.sqrt(SKETCH_BYTES)).astype(np.float32)
    return projection
