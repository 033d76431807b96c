"""The kernel's queue of new connections, emptied at each turn of the event loop.

listener is readable -> up to _MAX_AT_ONCE connections are accepted, each gets its protocol
no file is left      -> nothing is accepted for _PAUSE_S, logged; the kernel keeps the connections
TLS                  -> its handshake first, within _HANDSHAKE_S; too many at once: the oldest
                        ends if it has taken _SLOW_HANDSHAKE_S, else the new connection
close                -> the kernel drops the first packets of new connections for _LAST_PACKETS_S;
                        the connections that have begun are accepted, then the queue is closed

libuv accepts one connection in each turn of the loop (https://github.com/libuv/libuv/pull/3696).
Under overload a turn takes milliseconds, so that new connections waited for seconds before their
first byte was read: benchmarks/hardening/overload.py, docs/experiments.md.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial

from app.server.certificate import Certificate
from app.server.open_files import MAX_HANDSHAKES
from app.server.syn_filter import hold_new_connections

log = logging.getLogger("hubel")

_BACKLOG = 2048
"""Connections that the kernel keeps; Linux caps it by net.core.somaxconn."""
_MAX_AT_ONCE = 128
"""Connections in one turn: a few milliseconds of work."""
_PAUSE_S = 0.5
_HANDSHAKE_S = 10.0
"""Time limit for a TLS handshake; on a bad mobile connection it takes two seconds."""
_SLOW_HANDSHAKE_S = 1.0
"""A handshake that has taken longer makes room for others: most such clients never speak."""
_LAST_HANDSHAKES_S = 2.0
"""Time for the handshakes that are under way when the queue closes."""
_LAST_PACKETS_S = 0.25
"""Time for the last packets of connections that begin when the queue closes: a long round trip."""
_TLS_SHUTDOWN_S = 2.0
"""Time for the client to confirm the end of TLS, before the connection is closed anyway."""


class AcceptQueue:
    """Accepts the connections of a listening socket on the running event loop.

    Args:
        listener: a bound, non-blocking socket.
        make_protocol: returns the protocol of a new connection.
        certificate: the certificate for TLS; None: connections are not encrypted.
        max_handshakes: the number of TLS handshakes at once, each of which holds a file.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        certificate: Certificate | None = None,
        max_handshakes: int = MAX_HANDSHAKES,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._certificate = certificate
        self._max_handshakes = max_handshakes
        self._loop = asyncio.get_running_loop()
        self._opening: dict[asyncio.Task[None], float] = {}
        """The connections without a protocol, the oldest first, with the time of each's accept."""
        self._pause: asyncio.TimerHandle | None = None
        listener.listen(_BACKLOG)
        self._loop.add_reader(listener, self._accept, _MAX_AT_ONCE)

    async def close(self) -> None:
        """Accept what is in the queue, stop listening, and wait until each has its protocol.

        Where the kernel can't hold new connections back, one that it completes between the last
        accept and the close is lost; there is no await between them.
        """
        if hold_new_connections(self._listener):
            await asyncio.sleep(_LAST_PACKETS_S)
        self._stop()
        self._accept(_BACKLOG)
        self._stop()  # the last accept may have found no file
        self._listener.close()
        if self._opening:
            await asyncio.wait(set(self._opening), timeout=_LAST_HANDSHAKES_S)
        for task in set(self._opening):
            task.cancel()

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
            if self._certificate is not None and not self._has_room_for_handshake():
                connection.close()
                continue
            task = self._loop.create_task(self._open(connection))
            self._opening[task] = self._loop.time()
            task.add_done_callback(partial(self._opened, connection))

    def _has_room_for_handshake(self) -> bool:
        """Return whether another handshake may begin; a slow one ends for it, if need be."""
        if len(self._opening) < self._max_handshakes:
            return True
        oldest, began = next(iter(self._opening.items()))
        if self._loop.time() - began < _SLOW_HANDSHAKE_S:
            return False
        del self._opening[oldest]
        oldest.cancel()
        return True

    async def _open(self, connection: socket.socket) -> None:
        if self._certificate is None:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
            return
        await self._loop.connect_accepted_socket(
            self._make_protocol,
            connection,
            ssl=self._certificate.context,
            ssl_handshake_timeout=_HANDSHAKE_S,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_S,
        )

    def _opened(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """Close the connection if it got no protocol."""
        self._opening.pop(task, None)
        err = None if task.cancelled() else task.exception()
        if task.cancelled() or err is not None:
            connection.close()
        if err is not None and not isinstance(err, OSError):  # else: no TLS, or the client has left
            log.error("a connection was closed by an unexpected error", exc_info=err)

    def _wait_for_files(self, err: OSError) -> None:
        log.error("new connections wait, since none can be accepted: %s", err)
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept, _MAX_AT_ONCE)
