"""The server process: serve, and on SIGTERM stop without losing a request.

    SIGTERM -> draining: for drain_s seconds /readyz returns 503, and requests still get their
               responses, each with `Connection: close`
            -> the listener closes; connections that the kernel had already accepted are served
               (accept_queue.py)
            -> running requests finish; the lifespan ends; exit 0
a second signal, or _GRACE_S without an end -> connections are aborted, their requests end as those
               of clients that left; the lifespan ends; exit 0

uvicorn's own handler closes the listener at once. Clients that have just connected then get a
reset. After a second signal uvicorn leaves tracebacks of all tasks that were cancelled.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Generator
from functools import partial

import uvicorn
from fastapi import FastAPI

from app.api.service import Lifecycle
from app.server.accept_queue import AcceptQueue
from app.server.address import page_url
from app.server.certificate import Certificate
from app.server.dropped_data import DropRate
from app.server.http_protocol import BoundedProtocol
from app.server.open_files import MAX_HANDSHAKES, ConnectionLimit, raise_limit

log = logging.getLogger("hubel")

_KEEP_ALIVE_S = 75
"""Longer than the idle timeouts of common proxies, so that the proxies close first."""
_LINGER_S = 1.0
"""Time that connections may stay open without a request after the listener has closed."""
_DROP_S = 1.0
"""Time for requests to end once their connections are aborted."""
_GRACE_S = 15
"""Time limit for running requests. Added to the default of drain_s, 5 s, it stays below the 30 s of
stop_grace_period in docker-compose.yml."""


def serve(
    app: FastAPI,
    listener: socket.socket,
    lifecycle: Lifecycle,
    drain_s: float,
    certificate: Certificate | None = None,
) -> None:
    """Serve `app` on `listener` until SIGTERM or SIGINT, then drain and return.

    Args:
        app: the application.
        listener: a bound socket.
        lifecycle: its `draining` is set when draining begins.
        drain_s: time after SIGTERM in which new requests are accepted; after SIGINT it is 0.
        certificate: the certificate for TLS; None: connections are not encrypted.
    """
    raise_limit()
    limit = ConnectionLimit(tls=certificate is not None)
    protocol = partial(
        BoundedProtocol,
        refuse=app.state.early_refusal.response,
        limit=limit,
        drop_rate=DropRate(),
    )
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    with certificate or contextlib.nullcontext():
        server = DrainingServer(config, lifecycle, drain_s, certificate, limit.handshakes)
        server.run(sockets=[listener])


class DrainingServer(uvicorn.Server):
    """uvicorn's server with the shutdown that the module's docstring describes."""

    def __init__(
        self,
        config: uvicorn.Config,
        lifecycle: Lifecycle,
        drain_s: float,
        certificate: Certificate | None = None,
        max_handshakes: int = MAX_HANDSHAKES,
    ) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._max_handshakes = max_handshakes
        self._lifecycle = lifecycle
        self._drain_s = drain_s

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle SIGTERM and SIGINT while the server runs."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._begin_draining, self._drain_s)
        loop.add_signal_handler(signal.SIGINT, self._begin_draining, 0.0)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)

    def _begin_draining(self, drain_s: float) -> None:
        if self._lifecycle.draining:  # a second signal: stop at once
            self.should_exit = self.force_exit = True
            return
        self._lifecycle.draining = True
        asyncio.get_running_loop().call_later(drain_s, setattr, self, "should_exit", True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and log that requests are answered now."""
        await super().startup([])
        self._queues = [
            AcceptQueue(listener, self._make_protocol, self._certificate, self._max_handshakes)
            for listener in sockets or []
        ]
        for listener in sockets or []:
            url = page_url(listener, tls=self._certificate is not None)
            log.info("Hubel answers at %s", url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, serve the connections that exist, then shut down."""
        self._lifecycle.draining = True
        for queue in self._queues:
            await queue.close()
        await self._wait_until_unused(_LINGER_S)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._wait_until_unused(_GRACE_S):
            await self._drop_requests()
        await self.lifespan.shutdown()

    async def _wait_until_unused(self, seconds: float) -> bool:
        """Wait until no connection and no request is left, for a time or until a second signal."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.server_state.connections or self.server_state.tasks:
            if loop.time() >= end or self.force_exit:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _drop_requests(self) -> None:
        """End all connections, then the requests, which see that their clients have left."""
        state = self.server_state
        log.warning("%d requests are dropped: the server stops", len(state.tasks))
        for connection in list(state.connections):
            connection.transport.abort()
        for cancel in (False, True):
            if not state.tasks:
                return
            if cancel:
                for task in state.tasks:
                    task.cancel()
            await asyncio.wait(set(state.tasks), timeout=_DROP_S)

    def _make_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol
