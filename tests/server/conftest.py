"""A server in this process, and the clients of its tests."""

import asyncio
import threading
import time

import pytest
import uvicorn

from app.api.service import Lifecycle
from app.server.draining import DrainingServer
from app.server.http_protocol import BoundedProtocol
from app.server.start import bind
from tests.server.greeting import greet


def _run_with(client, loop_name="uvloop", respond=None, keep_alive_s=5, certificate=None, **limits):
    """Run a server here, in the main thread, and `client(server, loop, port)` in another."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    loops = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            loops.append(asyncio.get_running_loop())
        await (respond or greet)(scope, receive, send)

    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop=loop_name,
        ws="none",
        lifespan="on",
        log_config=None,
        timeout_keep_alive=keep_alive_s,
    )
    server = DrainingServer(config, Lifecycle(), drain_s=0, certificate=certificate, **limits)
    responses = []

    def run_client():
        while not server.started:
            time.sleep(0.005)
        try:
            responses.append(client(server, loops[0], port))
        finally:
            server.should_exit = True

    thread = threading.Thread(target=run_client)
    thread.start()
    server.run(sockets=[listener])
    thread.join()
    return responses[0]


@pytest.fixture
def run_with():
    return _run_with
