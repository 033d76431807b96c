"""What clients still send after their response is read and dropped, at a limited rate in all.

response written -> what comes is dropped, so that closing doesn't reset the connection
                 -> more than BYTES_PER_S from all connections together: reading pauses

Dropping is fast: clients that send bodies of 200 MB, each refused by its head, could keep the event
loop busy with nothing else (benchmarks/hardening/memory.py). A single client hardly notices the
limit.
"""

import time
from collections.abc import Callable

BYTES_PER_S = 200e6
"""About a tenth of what one core reads from the local machine."""
_BURST_BYTES = 20e6
"""A body somewhat over the default limit of 16 MB is dropped without a pause."""


class DropRate:
    """A token bucket for the bytes that all connections drop.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_bytes = _BURST_BYTES
        self._at = clock()

    def pause_s(self, size: int) -> float:
        """Count `size` dropped bytes; return the seconds for which to read no more, often 0."""
        now = self._clock()
        refilled = self._left_bytes + (now - self._at) * BYTES_PER_S
        self._left_bytes = min(refilled, _BURST_BYTES) - size
        self._at = now
        return max(0.0, -self._left_bytes / BYTES_PER_S)
