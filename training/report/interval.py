"""Compute the interval (95 %) of a share that was measured on few photos, and say it in words."""

from scipy.special import betaincinv

_TAIL = 0.025
FEW = 400
"""Photos up to which a share is shown with its interval; above, it is within about 5 points."""


def of(part: int, whole: int) -> tuple[float, float]:
    """Return the limits of Clopper and Pearson: 2 of 2 give 0.16 to 1.

    Args:
        part: the photos that have the property; at most `whole`.
        whole: the photos that were measured; at least 1.
    """
    low = 0.0 if part == 0 else float(betaincinv(part, whole - part + 1, _TAIL))
    high = 1.0 if part == whole else float(betaincinv(part + 1, whole - part, 1 - _TAIL))
    return low, high


def said(part: int, whole: int) -> str:
    """Return the interval for parentheses: "95 %: 16 to 100 %"."""
    low, high = _percents(part, whole)
    return f"95\u00a0%: {low} to {high}\u00a0%"


def between(part: int, whole: int) -> str:
    """Return the interval for a sentence: "between 16 and 100 % (95 % confidence)"."""
    low, high = _percents(part, whole)
    return f"between {low} and {high}\u00a0% (95\u00a0% confidence)"


def _percents(part: int, whole: int) -> tuple[str, str]:
    low, high = of(part, whole)
    return f"{100 * low:.0f}", f"{100 * high:.0f}"
