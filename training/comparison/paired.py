"""Statistics of two versions that predicted the same photos. NumPy and SciPy.

right or wrong, of both -> McNemar's test, Tango's interval of the difference
p-values of many tests  -> Holm's correction
numbers of each photo   -> a paired bootstrap of any figure

McNemar 1947, "Note on the sampling error of the difference between correlated proportions"; Tango
1998, "Equivalence test and confidence interval for the difference in proportions for the
paired-sample design"; Fagerland, Lydersen and Laake 2013, "The McNemar test for binary
matched-pairs data: mid-p and asymptotic are better than exact conditional"; Holm 1979, "A simple
sequentially rejective multiple test procedure".
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Z = 1.2815515655446004
"""The 90 % quantile of the normal distribution: one-sided confidence."""
RESAMPLES = 2000
_BLOCK = 2_000_000
"""Numbers of a block of resamples in memory."""
_STEPS = 60

Floats = NDArray[np.float64]


def mcnemar_mid_p(losses: int, gains: int) -> float:
    """Return the two-sided mid-p value of McNemar's test; 1 where nothing differs.

    Args:
        losses: photos that only the first version gets right.
        gains: photos that only the second version gets right.
    """
    differ = losses + gains
    if not differ:
        return 1.0
    fewer = min(losses, gains)
    value = 2 * binom.cdf(fewer, differ, 0.5) - binom.pmf(fewer, differ, 0.5)
    return float(min(1.0, value))


def mcnemar_exact_loss(losses: int, gains: int) -> float:
    """Return the one-sided exact p-value of McNemar's test that the second version is worse."""
    return float(binom.cdf(gains, losses + gains, 0.5))


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which of several tests are significant, at `alpha` for all of them together."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def tango_interval(losses: int, gains: int, photos: int, z: float = Z) -> tuple[float, float]:
    """Return the score interval of the difference (gains - losses) / photos, -1 to 1.

    Args:
        losses: photos that only the first version gets right.
        gains: photos that only the second version gets right.
        photos: all photos, at least 1.
        z: the quantile of the normal distribution at each end.
    """
    difference = (gains - losses) / photos
    lower = _limit(losses, gains, photos, z, -1.0, difference)
    return lower, -_limit(gains, losses, photos, z, -1.0, -difference)


def _limit(losses: int, gains: int, photos: int, z: float, low: float, high: float) -> float:
    """Return the difference below the measured one whose score statistic is `z`, by bisection."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _score(losses, gains, photos, middle) > z:
            low = middle
        else:
            high = middle
    return low


def _score(losses: int, gains: int, photos: int, difference: float) -> float:
    a = 2 * photos
    b = -gains - losses + (2 * photos - gains + losses) * difference
    c = -losses * difference * (1 - difference)
    only_first = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = photos * (2 * only_first + difference * (1 - difference))
    above = gains - losses - photos * difference
    return math.inf if variance <= 0 else above / math.sqrt(variance)


def bootstrap(
    numbers: Floats, figure: Callable[[Floats], Floats], seed: int, resamples: int = RESAMPLES
) -> Floats:
    """Return a figure of resampled photos, (resamples,).

    Args:
        numbers: (N, M) numbers of each photo that are summed.
        figure: sums (R, M) -> the figure of each resample, (R,).
        seed: fixes the resamples.
        resamples: how many there are.
    """
    rng = np.random.default_rng(seed)
    count = len(numbers)
    share = np.full(count, 1 / count)
    block = max(1, min(resamples, _BLOCK // count))
    values = []
    for first in range(0, resamples, block):
        weights = rng.multinomial(count, share, min(block, resamples - first))
        values.append(figure(weights @ numbers))
    return np.concatenate(values)


def photos_needed(margin: float, z: float = Z) -> int:
    """Return how many photos can show a difference of at most `margin`, if none is lost."""
    return math.ceil(z * z * (1 - margin) / margin)
