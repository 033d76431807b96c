"""The reading of data that clients send after their response, at a limited rate in all.

response written -> what comes is dropped, so that closing doesn't reset the connection
                 -> more than BYTES_PER_S from all connections together: reading pauses

Dropping is fast: clients that send bodies of 200 MB, each refused by its head, could keep the event
loop busy with nothing else (benchmarks/hardening/memory.py). A single client hardly notices the
limit.
"""

import asyncio
import time
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

BYTES_PER_S = 200e6
"""A rate that leaves the event loop most of its time."""
BURST_BYTES = 24e6
"""A body somewhat over the default of HUBEL_MAX_IMAGE_BYTES is dropped without a pause."""


class DropRate:
    """A token bucket for the bytes that all connections drop.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_bytes = BURST_BYTES
        self._at = clock()

    def pause_s(self, size: int) -> float:
        """Count `size` dropped bytes; return the seconds for which to read no more, often 0."""
        now = self._clock()
        refilled = self._left_bytes + (now - self._at) * BYTES_PER_S
        self._left_bytes = min(refilled, BURST_BYTES) - size
        self._at = now
        return max(0.0, -self._left_bytes / BYTES_PER_S)


class DroppedData:
    """The data of one connection behind its response.

    Args:
        transport: the connection.
        flow: its flow control, which may have paused reading for reasons of its own.
        rate: the rate of all connections.
    """

    def __init__(self, transport: asyncio.Transport, flow: FlowControl, rate: DropRate) -> None:
        self._transport = transport
        self._flow = flow
        self._rate = rate

    def drop(self, size: int) -> None:
        """Drop `size` bytes; read no more for a while if all connections drop many."""
        pause_s = self._rate.pause_s(size)
        if pause_s and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(pause_s, self._read_on)

    def _read_on(self) -> None:
        if not (self._transport.is_closing() or self._flow.read_paused):
            self._transport.resume_reading()
