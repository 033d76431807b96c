"""Clients that closed their side of a connection while a response is due.

end of the client's data -> it waits for the response (a half-closed connection): it gets it
                         -> it has left: only data sent to it reveal that, by a reset

After CHECK_S without a response, `100 Continue` is sent, which clients of HTTP/1.1 skip. A reset
then ends the connection, so that no photo is decoded for a client that has left.
"""

import asyncio
import select
from collections.abc import Callable

CHECK_S = 0.1
"""Most responses are sent within this time; then there is nothing to check."""
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class HalfClosedClient:
    """The watch on one half-closed connection, until its response ends it.

    Args:
        transport: the connection.
        loop: its event loop.
        may_probe: returns whether an interim response can be sent now.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        may_probe: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._may_probe = may_probe
        self._probed = False
        self._timer = loop.call_later(CHECK_S, self._check)

    def stop(self) -> None:
        """Stop: the connection has ended."""
        self._timer.cancel()

    def _check(self) -> None:
        """Abort the connection after a reset; send the data that a client who left resets."""
        if self._transport.is_closing():
            return
        if self._is_reset():
            self._transport.abort()
            return
        if not self._probed and self._may_probe():
            self._transport.write(_INTERIM)
            self._probed = True
        self._timer = self._loop.call_later(CHECK_S, self._check)

    def _is_reset(self) -> bool:
        """Return whether the client has reset the connection; event loops don't report it here."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return bool(poll.poll(0))
