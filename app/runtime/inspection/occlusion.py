"""Occlusion sensitivity, for models without a pooled linear head.

A grey square slides over the photo. The more it lowers the label's probability, the more the model
relies on the covered part (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional
Networks"). The map shows the fall of the label's log-odds, which doesn't saturate near
probabilities of 0 and 1. Each cell of the map is the mean over the squares that cover it.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Session

_GRIDS = (8, 6, 4)
"""Cells per side of the map; the square covers two by two cells, and moves by one."""
_BATCH = 8
_MAX_DEADLINE_SHARE = 0.5
"""All runs together should take at most this share of the deadline."""
_GREY = 127
_MIN_DISTANCE = 1e-7
"""Probabilities are clipped to this distance from 0 and 1, where log-odds are infinite."""


def cells_per_side(run_s: float, deadline_s: float) -> int:
    """Return the cells per side of the finest grid whose runs of `run_s` fit the deadline."""
    for side in _GRIDS:
        if (side - 1) ** 2 * run_s <= _MAX_DEADLINE_SHARE * deadline_s:
            return side
    return _GRIDS[-1]


def occlusion_map(
    session: Session, pixels: NDArray[np.uint8], label: int, side: int, check: Callable[[], None]
) -> NDArray[np.float32]:
    """Return how much covering each part of a photo lowers a label's log-odds.

    Args:
        session: the session of the model.
        pixels: (H, W, 3) uint8 RGB.
        label: the label's index.
        side: cells per side.
        check: called between the runs; raises an error if the result is no longer of use.

    Returns:
        (side, side) float32, the fall of the log-odds; positive where covering the part lowers the
        label's probability.

    Raises:
        CapacityError: the runs took too long, or the client has left.
    """
    uncovered = _log_odds(session.run(pixels[np.newaxis])[:, label])[0]
    total, count = np.zeros((2, side, side), np.float32)
    places = [(row, column) for row in range(side - 1) for column in range(side - 1)]
    for start in range(0, len(places), _BATCH):
        check()
        batch = places[start : start + _BATCH]
        covered = np.stack([*_covered(pixels, batch, side)])
        falls = uncovered - _log_odds(session.run(covered)[:, label])
        for (row, column), fall in zip(batch, falls, strict=True):
            total[row : row + 2, column : column + 2] += fall
            count[row : row + 2, column : column + 2] += 1
    mean_falls: NDArray[np.float32] = total / count
    return mean_falls


def _covered(
    pixels: NDArray[np.uint8], places: list[tuple[int, int]], side: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the photo with a rectangle at each of `places`.

    It is grey, because a colour could raise the probability of some labels.
    """
    rows, columns = (
        np.linspace(0, pixels_of_side, side + 1).round().astype(int)
        for pixels_of_side in pixels.shape[:2]
    )
    for row, column in places:
        copy = pixels.copy()
        copy[rows[row] : rows[row + 2], columns[column] : columns[column + 2]] = _GREY
        yield copy


def _log_odds(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    p = np.clip(probabilities.astype(np.float64), _MIN_DISTANCE, 1 - _MIN_DISTANCE)
    return np.log(p / (1 - p))
