"""Expositions of the metrics, at a bounded cost however many clients request them.

request -> the next exposition, shared by all that wait for it -> a thread makes it
                                                               -> a rest of _REST times its duration

An exposition begins after the requests that get it, so that it has everything that they count on.
"""

import asyncio
from collections.abc import Callable

_REST = 9
"""At most a tenth of a core makes expositions."""
_MAX_REST_S = 1.0


class Scrapes:
    """The expositions of one application.

    Args:
        make: returns an exposition; it is called on a thread.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[bytes] | None = None
        self._rest_until = 0.0

    async def exposition(self) -> bytes:
        """Return an exposition that is made from now on."""
        if self._next is None:
            self._next = asyncio.create_task(self._make_next())
        return await asyncio.shield(self._next)  # one client that leaves doesn't end it for others

    async def _make_next(self) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._lock:
            await asyncio.sleep(max(0.0, self._rest_until - loop.time()))
            self._next = None
            began = loop.time()
            try:
                return await asyncio.to_thread(self._make)
            finally:
                now = loop.time()
                self._rest_until = now + min(_REST * (now - began), _MAX_REST_S)
