"""Say the 95 % interval of a share of photos in the words of the report."""

from app.runtime.evaluation.interval import interval, interval_text

FEW = 400
"""Photos up to which a share is shown with its interval; above, it is within about 5 points."""


def of(part: int, whole: int) -> tuple[float, float]:
    """Return the limits, 0 to 1 each: 2 of 2 give 0.16 to 1.

    Args:
        part: the photos that have the property; at most `whole`.
        whole: the photos that were measured; at least 1.
    """
    return interval(part / whole, whole)


def said(part: int, whole: int) -> str:
    """Return the interval for parentheses: "95 %: 16 to 100 %"."""
    return interval_text(part / whole, whole)


def between(part: int, whole: int) -> str:
    """Return the interval for a sentence: "between 16 and 100 % (95 % confidence)"."""
    low, high = of(part, whole)
    return f"between {100 * low:.0f} and {100 * high:.0f}\u00a0% (95\u00a0% confidence)"
