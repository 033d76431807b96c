"""A thread that does something again and again while the service runs."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

log = logging.getLogger("hubel")

_JOIN_S = 5.0


class Periodic:
    """A thread with a pause between its turns; a context manager that starts and ends it.

    Args:
        turn: what is done. An error is logged, and the next turn comes all the same.
        interval_s: seconds between two turns, and before the first.
        name: the thread's name.
    """

    def __init__(self, turn: Callable[[], None], interval_s: float, name: str) -> None:
        self._turn = turn
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_ending(self) -> bool:
        """Whether the thread is to end; a long turn may ask."""
        return self._ended.is_set()

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the thread; a turn that takes long is not waited for."""
        self._ended.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self._turn()
            except Exception:  # the thread must not end
                log.exception("%s failed", self._thread.name)
