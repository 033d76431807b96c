"""Turns: few cheap responses in each turn of the event loop, so that photos pass in between.

A document takes the event loop a fraction of a millisecond. When hundreds of clients request it at
once, a photo would wait for all of them each time that it needs the loop.
"""

import asyncio

_AT_ONCE = 2


class Turns:
    """The turns of requests that are served from memory."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(_AT_ONCE)

    async def wait(self) -> None:
        """Wait for a turn, in the order of arrival."""
        async with self._semaphore:
            await asyncio.sleep(0)
