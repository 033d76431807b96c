"""A moving window: how much was used in the last seconds, and when there is room again.

take(n) -> an entry with the time and the amount; entries older than the window are dropped
        -> at most `quota` units are used in any `window_s` seconds

Entries that are close together become one entry with the time of the last of them, so that their
number is bounded. A window then counts a unit for too long by at most 1/_ENTRIES of its length.
"""

import time
from collections import deque
from collections.abc import Callable

_ENTRIES = 256
"""Maximum number of entries, roughly: a window takes 30 kB at most."""


class MovingWindow:
    """The units that were used in the last `window_s` seconds.

    Args:
        window_s: the length of the window in seconds.
        clock: returns the time in seconds, which never goes back.
    """

    def __init__(self, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.window_s = window_s
        self._clock = clock
        self._entries: deque[list[float]] = deque()
        """The time of the first and the last unit of each entry, and the number of its units."""
        self._used = 0.0

    def take(self, amount: int) -> None:
        """Count `amount` units as used now."""
        self._drop_old()
        now = self._clock()
        self._used += amount
        newest = self._entries[-1] if self._entries else None
        if newest is not None and now - newest[0] < self.window_s / _ENTRIES:
            newest[1:] = now, newest[2] + amount
        else:
            self._entries.append([now, now, amount])

    @property
    def is_unused(self) -> bool:
        """Whether no unit was used in the time of the window."""
        self._drop_old()
        return not self._entries

    def left(self, quota: int) -> int:
        """Return the number of units that can be used now."""
        self._drop_old()
        return max(0, quota - int(self._used))

    def wait_s(self, amount: int, quota: int) -> float:
        """Return the seconds until `amount` units, at most the quota, can be used; often 0."""
        self._drop_old()
        excess = self._used + amount - quota
        if excess <= 0:
            return 0.0
        for _, last, units in self._entries:
            excess -= units
            if excess <= 0:
                return self._until_dropped(last)
        return self.window_s

    def next_release_s(self) -> float:
        """Return the seconds until more units can be used; of an unused window, its length."""
        self._drop_old()
        if not self._entries:
            return self.window_s
        return self._until_dropped(self._entries[0][1])

    def _until_dropped(self, last: float) -> float:
        """Return the seconds until an entry is older than the window; a sum may round above it."""
        return min(self.window_s, max(0.0, last + self.window_s - self._clock()))

    def _drop_old(self) -> None:
        oldest = self._clock() - self.window_s
        while self._entries and self._entries[0][1] <= oldest:
            self._used -= self._entries.popleft()[2]
