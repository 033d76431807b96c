"""One budget of memory for the process: requests take bytes of it before they use memory.

    take:      try_take (at once: True or False) | take (waits: offline only) | share (grows)
    give back: give_back -> the callbacks of `on_room`, which start what did not fit before
    never:     check_fits -> TooMuchMemory (413), before anything is begun

The bytes are estimates of the worst case; nothing is allocated here. A part of a budget has a limit
of its own and takes its bytes from the whole as well, so that bodies can't use up what decoding
needs.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from app.errors import QueueFull, TooMuchMemory

_MB = 1_000_000


class MemoryBudget:
    """A number of bytes that all threads of the process share.

    Args:
        total_bytes: the most that may be held at one time.
        whole: the budget that this one is a part of; None for the whole.
    """

    def __init__(self, total_bytes: int, whole: Self | None = None) -> None:
        self.total_bytes = total_bytes
        self._whole = whole
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def held_bytes(self) -> int:
        """The bytes that are held now."""
        return self._held_bytes

    def part(self, max_bytes: int) -> Self:
        """Return a budget of at most `max_bytes` that takes them from this one."""
        return type(self)(max_bytes, self)

    def check_fits(self, size: int, subject: str, advice: str) -> None:
        """Reject what would not fit even if nothing else were held.

        Args:
            size: bytes that it needs.
            subject: what needs them, as the beginning of a sentence.
            advice: a sentence that says what to do.

        Raises:
            TooMuchMemory: `size` is more than the total.
        """
        total = min(self.total_bytes, self._whole.total_bytes if self._whole else size)
        if size > total:
            raise TooMuchMemory(
                f"{subject} needs about {-(-size // _MB):,} MB of memory; "
                f"the service has {total // _MB:,} MB for requests. {advice}"
            )

    def has_room(self, size: int) -> bool:
        """Return whether `size` bytes could be taken now."""
        fits = self._held_bytes + size <= self.total_bytes
        return fits and (self._whole is None or self._whole.has_room(size))

    def try_take(self, size: int) -> bool:
        """Take `size` bytes if there is room for them now; return whether they were taken."""
        with self._changed:
            if self._held_bytes + size > self.total_bytes:
                return False
            if self._whole is not None and not self._whole.try_take(size):
                return False
            self._held_bytes += size
            return True

    def take(self, size: int) -> None:
        """Wait for room for `size` bytes, or until nothing else is held; then take them.

        For work without a deadline: a thread of a server never waits for memory.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: not self._held_bytes or self._held_bytes + size <= self.total_bytes
            )
            self._held_bytes += size
        if self._whole is not None:
            self._whole.take(size)

    def give_back(self, size: int) -> None:
        """Return bytes that were taken, and report that there is room."""
        with self._changed:
            self._held_bytes -= size
            self._changed.notify_all()
        if self._whole is not None:
            self._whole.give_back(size)
        for callback in self._callbacks:
            callback()

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every return of bytes, on the thread that returned them.

        It must be quick and must not raise. No lock is held, so it may take bytes. Add callbacks
        before the budget is shared by threads.
        """
        self._callbacks.append(callback)

    @contextmanager
    def hold(self) -> Generator["MemoryShare", None, None]:
        """Yield an empty share that grows as needed; return its bytes when the block ends."""
        share = MemoryShare(self)
        try:
            yield share
        finally:
            self.give_back(share.bytes)

    @contextmanager
    def waiting_hold(self, size: int) -> Generator[None, None, None]:
        """Hold `size` bytes for the block, after waiting for them as `take` does."""
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)


@dataclass
class MemoryShare:
    """The bytes of a budget that one request holds; it only grows, until its block ends."""

    budget: MemoryBudget
    bytes: int = 0

    def grow_to(self, size: int) -> None:
        """Hold `size` bytes in total for this request.

        Raises:
            TooMuchMemory: the budget never has so much room.
            QueueFull: it has no room for them now.
        """
        more = max(0, size - self.bytes)
        if not self.budget.try_take(more):
            raise self._no_room(more)
        self.bytes += more

    def check_room(self, more: int) -> None:
        """Check that the budget has room for `more` bytes now, without taking them.

        Raises:
            TooMuchMemory: it never has so much.
            QueueFull: it has none now.
        """
        if not self.budget.has_room(more):
            raise self._no_room(more)

    def _no_room(self, more: int) -> QueueFull:
        self.budget.check_fits(self.bytes + more, "The request", "Send fewer or smaller images.")
        return QueueFull(
            f"Requests in progress already hold {self.budget.held_bytes} bytes. "
            "Try again later, or send smaller images.",
            retry_after_s=1,
        )
