"""Tells the event loop that a job has changed, from the thread that runs jobs."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from app.errors import QueueFull

MAX_FOLLOWERS = 64
"""Streams of events that may be open at one time."""


class JobEvents:
    """Those who follow jobs, each with an event of its own loop."""

    def __init__(self) -> None:
        self._followers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def follow(self) -> Generator[asyncio.Event, None, None]:
        """Yield an event that is set whenever a job has changed.

        Raises:
            QueueFull: too many follow.
        """
        follower = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if len(self._followers) >= MAX_FOLLOWERS:
                raise QueueFull(
                    f"{MAX_FOLLOWERS} clients follow jobs already. Ask for the job instead.",
                    retry_after_s=5,
                )
            self._followers.add(follower)
        try:
            yield follower[1]
        finally:
            with self._lock:
                self._followers.discard(follower)

    def changed(self) -> None:
        """Tell all followers; any thread may call it."""
        with self._lock:
            for loop, event in self._followers:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(event.set)
