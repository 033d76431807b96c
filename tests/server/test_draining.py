"""Draining and connection limits of the server, in this process."""

import asyncio
import contextlib
import json
import signal
import socket
import threading
import time

import pytest

from app.server.http_protocol import MAX_HEAD_BYTES, MAX_PIPELINED
from tests.server.greeting import greet

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.mark.parametrize("loop_name", ["uvloop", "asyncio"])
def test_a_connection_just_before_the_listener_closes_is_served(run_with, loop_name):
    def client(server, loop, port):
        # The loop is held when it should end. It then sees the end before the connection, which
        # the kernel has already accepted and whose request has arrived.
        is_held, has_sent = threading.Event(), threading.Event()

        def hold():
            is_held.set()
            has_sent.wait(60)

        loop.call_soon_threadsafe(hold)
        assert is_held.wait(60)
        server.should_exit = True
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(REQUEST)
            has_sent.set()
            return connection.recv(65536)

    assert run_with(client, loop_name).startswith(b"HTTP/1.1 200")


def test_a_connection_without_a_request_yet_is_served(run_with):
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            server.should_exit = True
            time.sleep(0.3)
            connection.sendall(REQUEST)
            return connection.recv(65536)

    assert run_with(client, "uvloop").startswith(b"HTTP/1.1 200")


def sending(*pieces, pause_s=0.0):
    """Return a client that sends `pieces`, then reads until the connection closes."""

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause_s)
            except OSError:
                pass  # the connection closed during the sending
            received = b""
            try:
                while more := connection.recv(65536):
                    received += more
                    if b"\r\n\r\n" in received and b"hello" in received:
                        break
            except ConnectionResetError:
                pass  # data after the rejection were not read
            return received

    return client


def read_to_end(connection):
    received = b""
    while more := connection.recv(65536):
        received += more
    return received


def problem(response):
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head
    fields = json.loads(body)
    assert fields["detail"].endswith(".")
    return int(head.split(b" ")[1]), fields["code"]


def test_an_endless_head_is_rejected(run_with):
    # a pause lets the rejection arrive before the next piece
    pieces = [b"GET / HTTP/1.1\r\nX-Long: ", *[b"a" * 16_384] * 12]
    assert problem(run_with(sending(*pieces, pause_s=0.02))) == (431, "head_too_large")


def test_a_head_in_many_pieces_is_read(run_with):
    pieces = [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        *[f"X-{i}: {i}\r\n".encode() for i in range(50)],
        b"\r\n",
    ]
    assert b"200 OK" in run_with(sending(*pieces))


def test_a_slow_head_is_rejected(run_with, monkeypatch):
    monkeypatch.setattr("app.server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    assert problem(run_with(sending(b"GET / HTTP/1.1\r\n"))) == (408, "head_too_slow")


def test_a_silent_connection_is_closed(run_with, monkeypatch):
    monkeypatch.setattr("app.server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    assert run_with(sending(b"")) == b""


def test_data_that_are_not_http_get_a_problem(run_with):
    assert problem(run_with(sending(b"EHLO example.org\r\n\r\n"))) == (400, "bad_request")


def test_a_long_slow_body_is_not_limited_like_a_head(run_with, monkeypatch):
    monkeypatch.setattr("app.server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    body = [b"b" * 65_536] * 8
    head = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {65_536 * 8}\r\n\r\n".encode()
    assert len(body) * 65_536 > MAX_HEAD_BYTES

    async def read_then_greet(scope, receive, send):
        if scope["type"] == "http":
            while (await receive())["more_body"]:
                pass
        await greet(scope, receive, send)

    for respond in (read_then_greet, greet):  # `greet` responds before the body has arrived
        assert b"200 OK" in run_with(sending(head, *body, pause_s=0.05), respond=respond)


def test_requests_in_one_piece_all_get_responses(run_with):
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(REQUEST * 3)
            received = b""
            while received.count(b"hello") < 3:
                received += connection.recv(65536)
            return received

    assert run_with(client).count(b"200 OK") == 3


def test_a_second_signal_ends_the_server_while_a_request_hangs(run_with):
    entered = threading.Event()

    async def hang(scope, receive, send):
        if scope["type"] == "http":
            entered.set()
            await asyncio.sleep(600)
        await greet(scope, receive, send)

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(REQUEST)
            assert entered.wait(10)
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.3)
            signal.raise_signal(signal.SIGTERM)
            return connection.recv(65536)

    assert b"hello" not in run_with(client, respond=hang)


async def read_then_greet(scope, receive, send):
    """Respond when the whole body has arrived, with the names of the headers."""
    if scope["type"] != "http":
        await greet(scope, receive, send)
        return
    while (await receive())["more_body"]:
        pass
    names = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-seen", names)]})
    await send({"type": "http.response.body", "body": b"hello"})


CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n"


@pytest.mark.parametrize("respond", [read_then_greet, greet], ids=["unanswered", "answered"])
@pytest.mark.parametrize(
    "piece", [b"a:\r\n" * 4096, b"a" * 16_384], ids=["many headers", "one header"]
)
def test_endless_trailers_are_rejected(run_with, respond, piece):
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(CHUNKED)
            if respond is greet:
                while b"hello" not in connection.recv(65536):
                    pass
            with contextlib.suppress(OSError):  # dropped for a while, then reset
                for _ in range(8 * MAX_HEAD_BYTES // len(piece)):
                    connection.sendall(piece)
                    time.sleep(0.005)
            return read_to_end(connection).lstrip(b"\r\n0")

    assert problem(run_with(client, respond=respond)) == (431, "head_too_large")


def test_trailers_are_dropped(run_with):
    response = run_with(sending(CHUNKED, b"X-Behind: 1\r\n\r\n"), respond=read_then_greet)
    assert b"x-seen: host transfer-encoding\r\n" in response
    assert b"hello" in response


def test_pipelined_requests_wait_unread_and_all_get_responses(run_with):
    pipeline_lengths = []

    async def respond(scope, receive, send):
        if scope["type"] == "http":
            connections = servers[0].server_state.connections
            pipeline_lengths.append(max(len(each.pipeline) for each in connections))
            await asyncio.sleep(0.001)
        await greet(scope, receive, send)

    servers = []

    def client(server, loop, port):
        servers.append(server)
        received = b""
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            for _ in range(8):  # each is sent while earlier ones are served
                connection.sendall(REQUEST * 7)
                time.sleep(0.003)
            while received.count(b"hello") < 56 and (more := connection.recv(65536)):
                received += more
        return received

    assert run_with(client, respond=respond).count(b"200 OK") == 56
    assert max(pipeline_lengths) <= MAX_PIPELINED


def test_too_many_pipelined_requests_are_rejected_after_the_running_one(run_with):
    async def slowly(scope, receive, send):
        if scope["type"] == "http":
            await asyncio.sleep(0.2)
        await greet(scope, receive, send)

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(REQUEST * (MAX_PIPELINED + 3))
            return read_to_end(connection)

    first, _, second = run_with(client, respond=slowly).partition(b"hello")
    assert b"200 OK" in first
    assert problem(second.lstrip(b"\r\n0")) == (429, "too_many_behind")


@pytest.mark.parametrize("later", [b"\r\n", b"photo"], ids=["an empty line", "a late body"])
def test_data_after_a_response_do_not_keep_the_connection_open(run_with, later):
    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n"

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(REQUEST if later == b"\r\n" else head)
            received = b""
            while b"hello" not in received and (more := connection.recv(65536)):
                received += more
            time.sleep(0.1)
            connection.sendall(later)
            while connection.recv(65536):
                pass
        return True

    assert run_with(client, keep_alive_s=1)
