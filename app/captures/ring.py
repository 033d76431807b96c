"""The last photos of requests, in memory, so that feedback can name them."""

import threading
from collections import OrderedDict

from app.captures.capture import NewCapture
from app.memory_budget import MemoryBudget


class Ring:
    """The last photos, up to a number of bytes.

    Args:
        memory: their bytes.
    """

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory = memory
        self._captures: OrderedDict[tuple[str, int], NewCapture] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, capture: NewCapture) -> None:
        """Add a photo and remove the oldest; leave it out if requests need the memory."""
        size = capture.held_bytes
        if size > self._memory.total_bytes:
            return
        with self._lock:
            self._discard((capture.request_id, capture.index))
            while not self._memory.try_take(size):
                if not self._captures:
                    return
                self._discard(next(iter(self._captures)))
            self._captures[capture.request_id, capture.index] = capture

    def get(self, request_id: str, index: int) -> NewCapture | None:
        """Return a photo of a request, or None."""
        with self._lock:
            return self._captures.get((request_id, index))

    def remove(self, key: tuple[str, int]) -> None:
        """Remove a photo of a request, if it is there."""
        with self._lock:
            self._discard(key)

    def _discard(self, key: tuple[str, int]) -> None:
        removed = self._captures.pop(key, None)
        if removed is not None:
            self._memory.give_back(removed.held_bytes)
