"""The counts of a model's last predictions: a rolling window of ten blocks.

A prediction is counted in the newest block. When that is full, the oldest block is dropped. So a
prediction costs a few additions, and the memory does not grow with the traffic.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WINDOW_IMAGES = 2000
"""The most predictions in the window; the indices of this many have little noise."""
BLOCKS = 10


@dataclass
class _Block:
    decisions: list[int]
    labels: list[int]
    confidence: list[int]
    images: int = 0
    began: float = field(default_factory=time.time)


@dataclass(frozen=True, eq=False)
class Counted:
    """The histograms of a window."""

    decisions: NDArray[np.int64]
    labels: NDArray[np.int64]
    confidence: NDArray[np.int64]
    images: int
    since: float
    """time.time() at the start of its oldest block."""


class Window:
    """The counts of the last predictions of one version of a model.

    Args:
        decisions: how many decisions there are.
        labels: how many labels there are.
        bins: how many bins of confidence there are.
    """

    def __init__(self, decisions: int, labels: int, bins: int) -> None:
        self._sizes = decisions, labels, bins
        self._lock = threading.Lock()
        self._blocks: deque[_Block] = deque([self._block()], maxlen=BLOCKS)

    def count(self, decision: int | None, labels: Sequence[int], confidence: float) -> None:
        """Count one prediction."""
        with self._lock:
            block = self._blocks[-1]
            if block.images >= WINDOW_IMAGES // BLOCKS:
                block = self._block()
                self._blocks.append(block)
            block.images += 1
            if decision is not None:
                block.decisions[decision] += 1
            for label in labels:
                block.labels[label] += 1
            bins = len(block.confidence)
            block.confidence[min(int(confidence * bins), bins - 1)] += 1

    def counted(self) -> Counted:
        """Return the counts of all blocks together."""
        with self._lock:
            blocks = list(self._blocks)
            decisions, labels, confidence = (
                np.array(rows, np.int64).sum(axis=0)
                for rows in (
                    [block.decisions for block in blocks],
                    [block.labels for block in blocks],
                    [block.confidence for block in blocks],
                )
            )
            images = sum(block.images for block in blocks)
        return Counted(decisions, labels, confidence, images, blocks[0].began)

    def _block(self) -> _Block:
        decisions, labels, bins = self._sizes
        return _Block([0] * decisions, [0] * labels, [0] * bins)
