"""Clients that don't read: what is buffered for them is bounded, and their connections end."""

import contextlib
import resource
import socket
import time

import pytest

pytestmark = pytest.mark.e2e

BODY = b"x" * 30_000_000


@pytest.fixture(autouse=True)
def short_stall(monkeypatch):
    monkeypatch.setattr("app.server.stalled_writes.STALL_S", 0.3)


async def send_much(scope, receive, send):
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    headers = [(b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def connect(port):
    """Return a connection with a small buffer, like that of a client far away."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    return connection


def until_alone(server):
    deadline = time.monotonic() + 20
    while server.server_state.connections:
        assert time.monotonic() < deadline, "a connection stays open"
        time.sleep(0.01)
    return True


REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n%s\r\n"


@pytest.mark.parametrize("loop_name", ["uvloop", "asyncio"])
@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"], ids=["keep-alive", "close"])
@pytest.mark.parametrize("requests", [1, 20])
def test_a_connection_whose_response_is_not_read_ends(run_with, loop_name, header, requests):
    def client(server, loop, port):
        with connect(port) as connection:
            connection.sendall(REQUEST % header * requests)
            time.sleep(0.05)
            return until_alone(server)

    assert run_with(client, loop_name, respond=send_much)


@pytest.mark.parametrize("loop_name", ["uvloop", "asyncio"])
def test_a_small_response_that_is_not_read_ends_with_the_idle_connection(run_with, loop_name):
    def client(server, loop, port):
        with connect(port) as connection:
            with contextlib.suppress(OSError):
                connection.settimeout(1)
                while True:  # until the responses fill all buffers
                    connection.sendall(REQUEST % b"" * 10)
                    time.sleep(0.002)
            return until_alone(server)

    assert run_with(client, loop_name, keep_alive_s=1)


def test_a_slow_client_that_reads_gets_its_whole_response(run_with):
    def client(server, loop, port):
        received = 0
        with connect(port) as connection:
            connection.sendall(REQUEST % b"Connection: close\r\n")
            began = time.monotonic()
            while more := connection.recv(200_000):
                received += len(more)
                if time.monotonic() - began < 1.5:  # five times the limit
                    time.sleep(0.02)
        return received

    assert run_with(client, respond=send_much) > len(BODY)


def test_unread_responses_of_one_body_share_its_memory(run_with):
    def client(server, loop, port):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                connection = stack.enter_context(connect(port))
                connection.sendall(REQUEST % b"" * 5)
            until_alone(server)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024

    assert run_with(client, respond=send_much) < 5 * len(BODY)
