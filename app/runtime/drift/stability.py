"""The population stability index of two histograms, and the part of it that is chance.

The index is the sum over the bins of (actual - expected) * ln(actual / expected), of shares. Usual
limits are 0.1 for a moderate change and 0.25 for a significant one. Of two samples of the same
distribution, the index times n*m/(n+m) follows a chi-square distribution with one degree of freedom
less than there are bins (Yurdakul and Naranjo 2020, "Statistical properties of the population
stability index"). With few photos or many bins that alone exceeds the usual limits.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Status = Literal["no_baseline", "too_few", "stable", "moderate", "significant"]

MODERATE_FROM = 0.1
SIGNIFICANT_FROM = 0.25
MAX_GROUPS = 10
_PSEUDO_COUNT = 0.5
"""Added to each bin: an empty one would make the index infinite."""
_NORMAL_QUANTILE = 3.09
"""Of a standard normal distribution: 99.9 % of it are below."""


def population_stability_index(expected: Counts, actual: Counts) -> float:
    """Return the index of two histograms (B,) over the same bins."""
    shares_expected, shares_actual = _shares(expected), _shares(actual)
    terms = (shares_actual - shares_expected) * np.log(shares_actual / shares_expected)
    return float(terms.sum())


def chance_limit(bins: int, expected_photos: int, actual_photos: int) -> float:
    """Return the index that 99.9 % of samples without any drift stay below."""
    return chance_quantile(max(bins - 1, 1)) * (1 / expected_photos + 1 / actual_photos)


def chance_quantile(freedom: float) -> float:
    """Return the number that 99.9 % of a chi-square distribution are below.

    The approximation is that of Wilson and Hilferty (1931).
    """
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + _NORMAL_QUANTILE * math.sqrt(spread)) ** 3


def status_of(
    value: float, chance: float, moderate_from: float, significant_from: float
) -> tuple[float, Status]:
    """Return the limit from which a statistic is significant, and the status of its value."""
    limit = max(significant_from, chance)
    if value >= limit:
        return limit, "significant"
    return limit, "moderate" if value >= max(moderate_from, chance) else "stable"


def group_starts(expected: Counts) -> list[int]:
    """Return the first bin of each group of adjacent bins, so that groups have similar counts.

    There are at most `MAX_GROUPS`, so a thousand labels don't drown a change in chance. Bins with
    too few photos of their own join the next one.
    """
    least = expected.sum() / MAX_GROUPS
    if len(expected) <= MAX_GROUPS:
        return list(range(len(expected)))
    starts, collected = [0], 0
    for index, count in enumerate(expected.tolist()):
        if collected and collected + count / 2 > least and len(starts) < MAX_GROUPS:
            starts.append(index)
            collected = 0
        collected += count
    if len(starts) == 1:  # nearly all photos are in one bin: compare it with the rest
        fullest = int(expected.argmax())
        starts = [0, fullest or 1]
    return starts


def grouped(counts: Counts, starts: list[int]) -> Counts:
    """Return the sums of the counts (B,) of each group, (G,)."""
    return np.asarray(np.add.reduceat(counts, starts))


def _shares(counts: Counts) -> NDArray[np.float64]:
    smoothed = counts + _PSEUDO_COUNT
    return np.asarray(smoothed / smoothed.sum())
