"""A measured quantity that decays to its configured value, so that wrong measurements heal."""

import math
import time
from collections.abc import Callable

HALF_LIFE_S = 20.0
"""Time in which a measured value without new measurements comes half of the way back."""
MAX_FACTOR = 16.0
"""The estimate stays within this factor of the configured value."""


class Estimate:
    """A moving average of measurements, on a logarithmic scale.

    Args:
        configured: the value until something is measured, and to which the estimate decays; over 0.
        weight: the weight of the newest measurement.
        clock: returns seconds.
    """

    def __init__(
        self, configured: float, weight: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._configured = configured
        self._weight = weight
        self._clock = clock
        self._deviation = 0.0
        """The logarithm of the average of measured values, relative to the configured value."""
        self._measured_at = clock()

    @property
    def value(self) -> float:
        """The present estimate."""
        return self._configured * math.exp(self._decayed())

    def configure(self, value: float) -> None:
        """Replace the configured value and forget what was measured."""
        self._configured, self._deviation = value, 0.0

    def observe(self, value: float) -> None:
        """Include a measured value, which may be 0."""
        limit = math.log(MAX_FACTOR)
        ratio = max(value / self._configured, 1 / MAX_FACTOR)
        # averages the values themselves: one of ten times the usual must count as ten
        average = (1 - self._weight) * math.exp(self._decayed()) + self._weight * ratio
        self._deviation = min(limit, math.log(average))
        self._measured_at = self._clock()

    def _decayed(self) -> float:
        age_s = self._clock() - self._measured_at
        return self._deviation * math.exp2(-age_s / HALF_LIFE_S)
