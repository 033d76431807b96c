"""Big pictures take turns, so that a few small files can't fill the memory.

A picture of 50 million pixels may be 100 KB long and take 600 MB while it is decoded. Small ones
never wait; one that is larger than the whole budget is decoded alone.
"""

import threading
from types import TracebackType
from typing import Self

BUDGET_BYTES = 400_000_000
"""For all big pictures that are being decoded, together."""

BYTES_PER_PIXEL = 12
"""At the worst: RGBA, and two copies of it while it is turned, converted and laid on white."""

SMALL_BYTES = 48_000_000


class Budget:
    """Bytes that are shared out among threads.

    Args:
        max_bytes: how many, all together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room for `size` bytes, or nobody else holds any."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._held_bytes or self._held_bytes + size <= self._max_bytes
            )
            self._held_bytes += size

    def give_back(self, size: int) -> None:
        """Let go of what was taken."""
        with self._changed:
            self._held_bytes -= size
            self._changed.notify_all()


class Turn:
    """One picture's part of a budget; a context manager that gives it back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> Self:
        """Begin with nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give back what was taken."""
        if self._bytes:
            self._budget.give_back(self._bytes)

    def take(self, size: int) -> None:
        """Wait for the bytes that a picture may need; to be called once, before it is decoded."""
        if size > SMALL_BYTES:
            self._budget.take(size)
            self._bytes = size
