"""The bound on the time that shadow runs take: a share of the time that responses took."""

_ALLOWANCE_S = 0.25
"""Seconds that may be spent before responses have earned them, so that chance doesn't stop runs."""


class CostBound:
    """The seconds that were earned by responses and spent on shadow runs.

    Counted in one unit, so a version that takes longer than the serving one runs less often.
    """

    def __init__(self) -> None:
        self.earned_s = 0.0
        """The share of the seconds of all responses."""
        self.spent_s = 0.0
        """The seconds of all shadow runs."""

    def earn(self, seconds: float, share: float) -> None:
        """Count the seconds of one response."""
        self.earned_s += seconds * share

    def spend(self, seconds: float) -> None:
        """Count the seconds of one shadow run."""
        self.spent_s += seconds

    def allows_more(self) -> bool:
        """Return whether another run may begin."""
        return self.spent_s < self.earned_s + _ALLOWANCE_S
