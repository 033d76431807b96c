"""The confidence interval of a share that was measured on few photos.

Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the
binomial": 95 % of such intervals contain the true share, or more. NumPy and SciPy aren't needed.
"""

import math
from functools import partial

_TAIL = 0.025
_STEPS = 60
_TERMS = 500
_TINY = 1e-300
_WIDE = 0.1
"""Width of an interval from which its limits have no decimals."""


def interval(share: float, photos: int) -> tuple[float, float]:
    """Return the limits of the 95 % confidence interval of a share, 0 to 1 each.

    Args:
        share: the measured share, 0 to 1.
        photos: the number of photos it was measured on, at least 1.
    """
    hits = round(share * photos)
    lower = 0.0 if hits == 0 else _inverse(hits, photos - hits + 1, _TAIL)
    upper = 1.0 if hits == photos else _inverse(hits + 1, photos - hits, 1 - _TAIL)
    return lower, upper


def with_interval(share: float, photos: int) -> str:
    """Return a share with its interval in words: `100.0 % (95 %: 16 to 100 %)`."""
    return f"{100 * share:.1f} % ({interval_text(share, photos)})"


def interval_text(share: float, photos: int) -> str:
    """Return the interval of a share in words: `95 %: 16 to 100 %`."""
    lower, upper = interval(share, photos)
    digits = 0 if upper - lower >= _WIDE else 1
    return f"95 %: {100 * lower:.{digits}f} to {100 * upper:.{digits}f} %"


def _inverse(a: int, b: int, probability: float) -> float:
    """Return the x at which the regularised incomplete beta function is `probability`."""
    cumulative = partial(_beta, a, b)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if cumulative(middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta(a: int, b: int, x: float) -> float:
    """Return the regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    log_factor = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _not_zero(1 + even * d), _not_zero(1 + even / c)
        fraction *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _not_zero(1 + odd * d), _not_zero(1 + odd / c)
        fraction *= d * c
        if abs(d * c - 1) < 1e-12:  # noqa: PLR2004
            break
    return math.exp(log_factor) / a * fraction


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
