"""Predictions on labelled photos -> the acceptance threshold that keeps a promised precision.

    probabilities of photos that the model did not learn from
        -> candidate thresholds, strictest first
        -> an exact binomial test of each: is the precision above it as promised?
        -> the lowest threshold that passes

The promise: with a probability of 95 % over the choice of these photos, at least this share of the
accepted predictions on other photos like them is right. The test of one threshold is that of
Clopper and Pearson (1934). Many thresholds are tested, so the order is fixed before the labels are
looked at (Angelopoulos et al. 2021, "Learn then Test"): a threshold is tested at the level that
the stricter ones before it have passed on (Wiens 2003, the fallback procedure). docs/decisions/
promise.md has the reasons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv

Floats = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]

CONFIDENCE = 0.95
_STEPS = 40
"""Candidate thresholds. Fewer cost coverage, more cost the test a chance to stop early."""
_PREDICTED_START = 0.8
"""The part of the level that the predicted best candidate begins with; the rest is spread."""
_SPREAD_STARTS = 4
_BEST_PRECISIONS = np.round(np.arange(0.999, 0.5, -0.001), 3)
"""Promises that are tried where one can't be kept."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The highest probability of N photos, and whether its label is right."""

    scores: NDArray[np.float32]
    """(N,)."""
    right: NDArray[np.bool_]
    """(N,)."""

    @classmethod
    def of(cls, probabilities: Floats, truth: Counts) -> "Outcomes":
        """Return the outcomes of probabilities (N, K) and class indices (N,)."""
        rows = probabilities.astype(np.float32)
        return cls(rows.max(axis=1, initial=0), rows.argmax(axis=1) == truth)

    def of_photos(self, selected: NDArray[Any]) -> "Outcomes":
        """Return the outcomes of some of the photos, by index or mask."""
        return Outcomes(self.scores[selected], self.right[selected])

    def accepted(self, accept_from: float) -> tuple[int, int]:
        """Return the number of predictions that reach a threshold, and of wrong ones among them."""
        reached = self.scores >= accept_from
        return int(reached.sum()), int((reached & ~self.right).sum())


def choose(
    outcomes: Sequence[Outcomes], precision: float, level: float = 1 - CONFIDENCE
) -> float | None:
    """Return the lowest threshold that keeps the promise; None: no threshold does.

    Args:
        outcomes: of the same photos, by each graph that may serve; the promise holds for all.
        precision: the promised share of right ones among accepted predictions.
        level: the probability that the threshold may fail to keep the promise.
    """
    first = outcomes[0]
    count = len(first.scores)
    if count < photos_needed(precision, level):
        return None
    order = np.sort(first.scores)[::-1]
    sizes = _sizes(count, precision, level)
    levels = _levels(order, sizes, precision, level)
    passed_on, lowest = 0.0, None
    for size, own in zip(sizes.tolist(), levels.tolist(), strict=True):
        # A threshold just above the next photo: those that reach it are a sample of all above it.
        threshold = 0.0 if size == count else float(np.nextafter(order[size], np.float32(2)))
        tested_at = passed_on + own
        is_kept = threshold <= 1 and 0 < tested_at >= max(
            _p_value(*each.accepted(threshold), precision) for each in outcomes
        )
        passed_on = tested_at if is_kept else 0.0
        if is_kept:
            lowest = threshold
    return lowest


def best_promise(
    outcomes: Sequence[Outcomes], below: float, level: float = 1 - CONFIDENCE
) -> float | None:
    """Return the highest precision under `below` that can be promised; None: not even one half."""
    candidates = (p for p in _BEST_PRECISIONS.tolist() if p < below)
    return next((p for p in candidates if choose(outcomes, p, level) is not None), None)


def photos_needed(precision: float, level: float = 1 - CONFIDENCE) -> int:
    """Return the number of photos from which a precision can be promised, if all are right."""
    return math.ceil(math.log(level) / math.log(precision))


def lower_limit(right: int, of: int, level: float = 1 - CONFIDENCE) -> float:
    """Return the lower confidence limit of the share that `right` in `of` estimates."""
    return 0.0 if right == 0 else float(betaincinv(right, of - right + 1, level))


def _p_value(accepted: int, wrong: int, precision: float) -> float:
    """Return the probability of so few wrong ones if the precision were just under the promise."""
    return 1.0 if accepted == 0 else float(bdtr(wrong, accepted, 1 - precision))


def _sizes(count: int, precision: float, level: float) -> Counts:
    """Return how many photos reach each candidate threshold, strictest first."""
    fewest = photos_needed(precision, level)
    return np.unique(np.linspace(fewest, count, min(_STEPS, count - fewest + 1)).astype(np.intp))


def _levels(order: Floats, sizes: Counts, precision: float, level: float) -> Floats:
    """Return the level that each candidate begins with; their sum is `level`.

    Most of it goes to the candidate that the probabilities predict to pass most likely. The rest is
    spread, for a model whose probabilities are wrong. Labels play no part, or the test would not be
    valid.
    """
    main_level = _PREDICTED_START * level
    levels = np.zeros(len(sizes))
    if sizes[-1] < photos_needed(precision, main_level):  # a part of the level is too little
        levels[-1] = level
        return levels
    expected_wrong = np.cumsum(1 - order.astype(np.float64))[sizes - 1]
    rate = np.clip(expected_wrong / sizes, 1e-12, 1 - 1e-12)
    allowed = np.array([_most_wrong(size, precision, main_level) for size in sizes.tolist()])
    power = np.where(allowed < 0, 0.0, bdtr(np.maximum(allowed, 0), sizes, rate))
    levels[int(power.argmax())] += main_level
    spread = np.geomspace(sizes[0], sizes[-1], _SPREAD_STARTS)
    for start in np.searchsorted(sizes, np.floor(spread)).tolist():
        levels[start] += (level - main_level) / _SPREAD_STARTS
    return levels


def _most_wrong(accepted: int, precision: float, level: float) -> int:
    """Return how many of `accepted` may be wrong for the test to pass; -1: it can't pass."""
    wrong = np.arange(math.ceil(accepted * (1 - precision)) + 1)
    return int((bdtr(wrong, accepted, 1 - precision) <= level).sum()) - 1
