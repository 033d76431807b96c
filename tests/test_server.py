"""The end of the server, step by step, in this process."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from app.api.service import Lifecycle
from app.server import DrainingServer, bind

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


async def hello(scope, receive, send):
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def run_with(client, loop_name):
    """Run a server here, in the main thread, and `client(server, loop, port)` in another."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    loops = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            loops.append(asyncio.get_running_loop())
        await hello(scope, receive, send)

    config = uvicorn.Config(app, loop=loop_name, ws="none", lifespan="on", log_config=None)
    server = DrainingServer(config, Lifecycle(), drain_s=0)
    answers = []

    def talk():
        while not server.started:
            time.sleep(0.005)
        try:
            answers.append(client(server, loops[0], port))
        finally:
            server.should_exit = True

    thread = threading.Thread(target=talk)
    thread.start()
    server.run(sockets=[listener])
    thread.join()
    return answers[0]


@pytest.mark.parametrize("loop_name", ["uvloop", "asyncio"])
def test_who_connected_just_before_the_listener_closed_is_answered(loop_name):
    def client(server, loop, port):
        # The loop sleeps through the moment in which it should end, so that it sees the end
        # before it sees the connection, which the kernel has long made and filled.
        server.should_exit = True
        loop.call_soon_threadsafe(time.sleep, 0.5)
        time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(REQUEST)
            return connection.recv(65536)

    assert run_with(client, loop_name).startswith(b"HTTP/1.1 200")


def test_who_connected_but_has_not_sent_yet_is_answered():
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            server.should_exit = True
            time.sleep(0.3)
            connection.sendall(REQUEST)
            return connection.recv(65536)

    assert run_with(client, "uvloop").startswith(b"HTTP/1.1 200")
