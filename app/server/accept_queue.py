"""The kernel's queue of new connections, emptied at each turn of the event loop.

listener is readable -> up to _MAX_AT_ONCE connections are accepted, each gets its protocol
no file is left      -> nothing is accepted for _PAUSE_S, logged; the kernel keeps the connections
close                -> the connections that are in the queue are accepted, then it is closed

libuv accepts one connection in each turn of the loop (https://github.com/libuv/libuv/pull/3696).
Under overload a turn takes milliseconds, so that new connections waited for seconds before their
first byte was read: benchmarks/hardening/overload.py, docs/experiments.md.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

log = logging.getLogger("hubel")

_BACKLOG = 2048
"""Connections that the kernel keeps; Linux caps it by net.core.somaxconn."""
_MAX_AT_ONCE = 128
"""Connections in one turn: a few milliseconds of work."""
_PAUSE_S = 0.5


class AcceptQueue:
    """Accepts the connections of a listening socket on the running event loop.

    Args:
        listener: a bound, non-blocking socket.
        make_protocol: returns the protocol of a new connection.
    """

    def __init__(
        self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.listen(_BACKLOG)
        self._loop.add_reader(listener, self._accept, _MAX_AT_ONCE)

    async def close(self) -> None:
        """Accept what is in the queue, stop listening, and wait until each has its protocol.

        There is no await between the last accept and the close, so that no connection is lost.
        """
        self._stop()
        self._accept(_BACKLOG)
        self._stop()  # the last accept may have found no file
        self._listener.close()
        if self._opening:
            await asyncio.wait(set(self._opening))

    def _stop(self) -> None:
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()

    def _accept(self, count: int) -> None:
        for _ in range(count):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:  # the client has already left
                continue
            except OSError as err:
                self._wait_for_files(err)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # the client has left
            connection.close()

    def _wait_for_files(self, err: OSError) -> None:
        log.error("new connections wait, since none can be accepted: %s", err)
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept, _MAX_AT_ONCE)
