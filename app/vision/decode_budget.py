"""A budget of memory for the large images that are being decoded.

header -> `Reservation.take` (waits until the budget has room) -> pixels
       -> end of the `with` block (returns the bytes)

A few small files must not fill the memory: an image of 50 million pixels may be a file of 100 KB
and take 600 MB while it is decoded. Small images never wait. An image larger than the whole budget
is decoded while no other large image is.
"""

import threading
from types import TracebackType
from typing import Self

BUDGET_BYTES = 400_000_000
"""Bytes for all large images that are being decoded, together."""

BYTES_PER_PIXEL = 12
"""The most that decoding takes: RGBA, and two copies while it is turned and converted."""

SMALL_BYTES = 48_000_000
"""Images that take no more than this never wait and don't use the budget."""


class Budget:
    """A number of bytes that threads share.

    Args:
        max_bytes: the number of bytes, for all threads together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room for `size` bytes, or no other thread holds any; hold them."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._held_bytes or self._held_bytes + size <= self._max_bytes
            )
            self._held_bytes += size

    def give_back(self, size: int) -> None:
        """Return bytes that were taken, and wake the threads that wait for room."""
        with self._changed:
            self._held_bytes -= size
            self._changed.notify_all()


class Reservation:
    """One image's share of a budget, held until its `with` block ends.

    Args:
        budget: the budget that the bytes are taken from.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> Self:
        """Begin without any bytes: how many are needed is known only after the header is read."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Return the bytes to the budget, also after an error."""
        if self._bytes:
            self._budget.give_back(self._bytes)

    def take(self, size: int) -> None:
        """Wait for the bytes that decoding may need; call it once, before decoding.

        Args:
            size: bytes; up to `SMALL_BYTES`, the call returns at once and holds nothing.
        """
        if size > SMALL_BYTES:
            self._budget.take(size)
            self._bytes = size
