"""The end of connections whose clients don't read their responses.

response -> the kernel's buffer, UNSENT_BYTES beyond what the client's has room for
         -> this process's buffer, one response at most: uvicorn waits before it writes more
         -> the client takes nothing for STALL_S: the connection is aborted
"""

import asyncio
import contextlib
import logging
import socket

log = logging.getLogger("hubel")

STALL_S = 20.0
"""A client on a bad mobile connection still takes some data in this time."""
UNSENT_BYTES = 64 * 1024
"""Linux would buffer megabytes for each connection otherwise."""


def bound_kernel_buffer(listener: socket.socket) -> None:
    """Limit what the kernel buffers for the connections of `listener`, where it can."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        with contextlib.suppress(OSError):  # a system that lacks it buffers more
            listener.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)


class StalledWrites:
    """The watch on one connection's written data, which aborts it when they stay unread.

    Args:
        transport: the connection.
        loop: its event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0

    def start(self) -> None:
        """Start to watch: data can't be written, or the connection is about to close."""
        if self._timer is None:
            self._unsent_bytes = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(STALL_S, self._check)

    def stop(self) -> None:
        """Stop: the data are written, or the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        """Abort the connection, unless the client has taken data since the last check."""
        self._timer = None
        if self._transport.get_write_buffer_size() < self._unsent_bytes:
            self.start()
            return
        log.info("a connection is aborted: its client took no data for %g s", STALL_S)
        self._transport.abort()
