"""The distance of the mean embedding of photos in use from that of the test photos.

The distance is Euclidean, in units of the spread of single photos: the root of the summed variances
of all dimensions. So it is about 1 where the photos of two kinds are as far apart as single photos
of one kind. It sees changes that leave the predictions as they are.

Of two samples of the same photos, n and m of them, the squared distance is about
(1/n + 1/m) * X/f, where X follows a chi-square distribution with f degrees of freedom, f being the
effective number of dimensions (Satterthwaite 1946, "An Approximate Distribution of Estimates of
Variance Components").
"""

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import EmbeddingBaseline
from app.runtime.drift.stability import Status, chance_quantile, status_of
from app.runtime.drift.window import BLOCKS, WINDOW_IMAGES

MODERATE_FROM = 0.1
SIGNIFICANT_FROM = 0.2
"""Measured: about half of the photos are of something else."""


@dataclass(frozen=True)
class Distance:
    """The distance of two mean embeddings."""

    distance: float
    limit: float
    """The distance from which the drift is significant: 0.2, or what chance alone may reach."""
    status: Status


class MeanEmbedding:
    """The mean embedding of the last photos: a rolling window of ten blocks.

    Args:
        dimensions: the numbers of an embedding.
    """

    def __init__(self, dimensions: int) -> None:
        self._lock = threading.Lock()
        self._sums: deque[NDArray[np.float64]] = deque([np.zeros(dimensions)], maxlen=BLOCKS)
        self._counts: deque[int] = deque([0], maxlen=BLOCKS)

    def add(self, embedding: NDArray[np.float32]) -> None:
        """Add the embedding (D,) of one photo, unless it is NaN or infinite."""
        with self._lock:
            if self._counts[-1] >= WINDOW_IMAGES // BLOCKS:
                self._sums.append(np.zeros_like(self._sums[-1]))
                self._counts.append(0)
            if not math.isfinite(embedding.sum()):
                return
            self._sums[-1] += embedding
            self._counts[-1] += 1

    def mean(self) -> tuple[NDArray[np.float64], int]:
        """Return the mean (D,) of all blocks, and the number of photos."""
        with self._lock:
            count = sum(self._counts)
            total = np.sum(list(self._sums), axis=0)
        return total / max(count, 1), count


def distance(
    baseline: EmbeddingBaseline, baseline_images: int, mean: NDArray[np.float64], images: int
) -> Distance:
    """Return the distance of a mean (D,) from the baseline's."""
    difference = mean - np.array(baseline.mean)
    found = math.sqrt(float(difference @ difference) / baseline.variance)
    quantile = chance_quantile(baseline.dimensions) / baseline.dimensions
    chance = math.sqrt(quantile * (1 / baseline_images + 1 / images))
    limit, status = status_of(found, chance, MODERATE_FROM, SIGNIFICANT_FROM)
    return Distance(found, limit, status)
