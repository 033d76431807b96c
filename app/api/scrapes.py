"""Expositions of the metrics, at a bounded cost however many clients request them.

request -> the next exposition in its format, shared by all that wait for it -> a thread makes it
                                                               -> a rest of _REST times its duration

An exposition begins after the requests that get it, so that it has everything that they count on.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

FormatT = TypeVar("FormatT")

_REST = 9
"""At most a tenth of a core makes expositions."""
_MAX_REST_S = 1.0


class Scrapes(Generic[FormatT]):
    """The expositions of one application.

    Args:
        make: returns an exposition in a format; it is called on a thread.
    """

    def __init__(self, make: Callable[[FormatT], bytes]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._next: dict[FormatT, asyncio.Task[bytes]] = {}
        self._rest_until = 0.0

    async def exposition(self, format: FormatT) -> bytes:
        """Return an exposition that is made from now on."""
        if format not in self._next:
            self._next[format] = asyncio.create_task(self._make_next(format))
        # Shielded: one client that leaves doesn't end it for others
        return await asyncio.shield(self._next[format])

    async def _make_next(self, format: FormatT) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._lock:
            await asyncio.sleep(max(0.0, self._rest_until - loop.time()))
            del self._next[format]
            began = loop.time()
            try:
                return await asyncio.to_thread(self._make, format)
            finally:
                now = loop.time()
                self._rest_until = now + min(_REST * (now - began), _MAX_REST_S)
