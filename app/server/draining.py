"""The server process: listen, and after SIGTERM lose nothing.

    SIGTERM -> draining: /readyz says 503, requests are still answered, each with
               `Connection: close`, for drain_s seconds
            -> the listener closes; connections that the kernel had already taken are answered
            -> what is running is finished; the lifespan ends; exit 0

uvicorn's own handler closes the listener at once, and the bytes of whoever had just connected
are answered with a reset.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from app.api.service import Lifecycle
from app.server.http_protocol import BoundedProtocol

log = logging.getLogger("hubel")

_KEEP_ALIVE_S = 75
"""Longer than the idle time-outs of the usual proxies, so that they close first."""
_LINGER_S = 1.0
"""How long a connection may stay silent after the listener has closed."""
_BACKLOG = 2048
_GRACE_S = 15
"""What answers that have begun may still take; with drain_s it stays below Compose's 30 s."""


def serve(app: FastAPI, listener: socket.socket, lifecycle: Lifecycle, drain_s: float) -> None:
    """Serve `app` on `listener` until SIGTERM or SIGINT, then drain and return.

    Args:
        app: the application.
        listener: a bound socket.
        lifecycle: told when draining begins.
        drain_s: seconds in which requests are still answered after SIGTERM; after SIGINT none.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACE_S,
    )
    DrainingServer(config, lifecycle, drain_s).run(sockets=[listener])


class DrainingServer(uvicorn.Server):
    """uvicorn's server with the shutdown that the module's docstring tells."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_s: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_s = drain_s

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGTERM and SIGINT for as long as the server runs."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end, self._drain_s)
        loop.add_signal_handler(signal.SIGINT, self._end, 0.0)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)

    def _end(self, drain_s: float) -> None:
        if self._lifecycle.draining:  # asked for a second time: at once
            self.should_exit = self.force_exit = True
            return
        self._lifecycle.draining = True
        asyncio.get_running_loop().call_later(drain_s, setattr, self, "should_exit", True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say where."""
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            log.info("Hubel answers at %s; try it at %s/docs", url, url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, but answer whoever has connected; then end as uvicorn does."""
        self._lifecycle.draining = True
        for listener in sockets or []:
            await self._take_the_last(listener)
        loop = asyncio.get_running_loop()
        until = loop.time() + _LINGER_S
        while self.server_state.connections and loop.time() < until and not self.force_exit:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    async def _take_the_last(self, listener: socket.socket) -> None:
        """Stop listening, then serve what the kernel has already accepted.

        The duplicate keeps the kernel's queue alive while the event loop lets go of the listener;
        no await stands between finding the queue empty and closing it.
        """
        queue = listener.dup()
        for server in self.servers:
            server.close()
        taken = []
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = queue.accept()
                taken.append(connection)
        queue.close()
        listener.close()
        loop = asyncio.get_running_loop()
        for connection in taken:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol
