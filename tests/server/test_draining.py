"""The end of the server, step by step, in this process."""

import asyncio
import json
import signal
import socket
import threading
import time

import pytest
import uvicorn

from app.api.service import Lifecycle
from app.server.draining import DrainingServer
from app.server.http_protocol import MAX_PIPELINED, MAX_HEAD_BYTES, BoundedProtocol
from app.server.start import bind

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


def run_with(client, loop_name="uvloop", respond=None, keep_alive_s=5):
    """Run a server here, in the main thread, and `client(server, loop, port)` in another."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    loops = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            loops.append(asyncio.get_running_loop())
        await (respond or hello)(scope, receive, send)

    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop=loop_name,
        ws="none",
        lifespan="on",
        log_config=None,
        timeout_keep_alive=keep_alive_s,
    )
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


def talk(*pieces, pause_s=0.0):
    """A client that sends `pieces` one after the other, and reads until it is hung up on."""

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause_s)
            except OSError:
                pass  # it was hung up on while it sent
            told = b""
            try:
                while more := connection.recv(65536):
                    told += more
                    if b"\r\n\r\n" in told and b"hello" in told:
                        break
            except ConnectionResetError:
                pass  # what was sent after the refusal was not read
            return told

    return client


def problem(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head
    told = json.loads(body)
    assert told["detail"].endswith(".")
    return int(head.split(b" ")[1]), told["code"]


def test_a_head_without_end_is_refused():
    # a pause lets the refusal arrive before what follows it
    pieces = [b"GET / HTTP/1.1\r\nX-Long: ", *[b"a" * 16_384] * 12]
    assert problem(run_with(talk(*pieces, pause_s=0.02))) == (431, "head_too_large")


def test_an_ordinary_head_in_many_pieces_is_read():
    pieces = [b"GET / HTTP/1.1\r\n", *[f"X-{i}: {i}\r\n".encode() for i in range(50)], b"\r\n"]
    assert b"200 OK" in run_with(talk(*pieces))


def test_a_head_that_does_not_come_in_time_is_refused(monkeypatch):
    monkeypatch.setattr("app.server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    assert problem(run_with(talk(b"GET / HTTP/1.1\r\n"))) == (408, "head_too_slow")


def test_who_says_nothing_is_hung_up_on(monkeypatch):
    monkeypatch.setattr("app.server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    assert run_with(talk(b"")) == b""


def test_what_is_no_http_is_a_problem():
    assert problem(run_with(talk(b"EHLO example.org\r\n\r\n"))) == (400, "bad_request")


def test_a_body_is_no_head_however_long_and_however_slow(monkeypatch):
    monkeypatch.setattr("app.server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    body = [b"b" * 65_536] * 8
    head = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {65_536 * 8}\r\n\r\n".encode()
    assert len(body) * 65_536 > MAX_HEAD_BYTES

    async def patient(scope, receive, send):
        if scope["type"] == "http":
            while (await receive())["more_body"]:
                pass
        await hello(scope, receive, send)

    for respond in (patient, hello):  # `hello` answers before the body has come
        assert b"200 OK" in run_with(talk(head, *body, pause_s=0.05), respond=respond)


def test_requests_in_one_piece_are_all_answered():
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(REQUEST * 3)
            told = b""
            while told.count(b"hello") < 3:
                told += connection.recv(65536)
            return told

    assert run_with(client).count(b"200 OK") == 3


def test_a_second_signal_ends_the_server_though_a_request_hangs():
    entered = threading.Event()

    async def hang(scope, receive, send):
        if scope["type"] == "http":
            entered.set()
            await asyncio.sleep(600)
        await hello(scope, receive, send)

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(REQUEST)
            assert entered.wait(10)
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.3)
            signal.raise_signal(signal.SIGTERM)
            return connection.recv(65536)

    assert b"hello" not in run_with(client, respond=hang)


async def patient(scope, receive, send):
    """Answers when the whole body has come, with the names of the headers."""
    if scope["type"] != "http":
        await hello(scope, receive, send)
        return
    while (await receive())["more_body"]:
        pass
    names = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-seen", names)]})
    await send({"type": "http.response.body", "body": b"hello"})


CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n"


@pytest.mark.parametrize("respond", [patient, hello], ids=["unanswered", "answered"])
@pytest.mark.parametrize(
    "piece", [b"a:\r\n" * 4096, b"a" * 16_384], ids=["many headers", "one header"]
)
def test_headers_without_end_behind_a_body_are_refused(respond, piece):
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(CHUNKED)
            if respond is hello:
                assert connection.recv(1)
            sent = 0
            try:
                while sent < 100 * MAX_HEAD_BYTES:
                    connection.sendall(piece)
                    sent += len(piece)
                    time.sleep(0.005)
            except OSError:
                return sent
        return None

    sent = run_with(client, respond=respond)
    assert sent is not None
    assert sent < 10 * MAX_HEAD_BYTES


def test_headers_behind_a_body_are_dropped():
    answer = run_with(talk(CHUNKED, b"X-Behind: 1\r\n\r\n"), respond=patient)
    assert b"x-seen: host transfer-encoding\r\n" in answer
    assert b"hello" in answer


def test_requests_behind_one_another_wait_unread_and_are_all_answered():
    most = []

    async def respond(scope, receive, send):
        if scope["type"] == "http":
            most.append(max(len(one.pipeline) for one in servers[0].server_state.connections))
            await asyncio.sleep(0.001)
        await hello(scope, receive, send)

    servers = []

    def client(server, loop, port):
        servers.append(server)
        told = b""
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            for _ in range(8):  # each goes out while those before it are answered
                connection.sendall(REQUEST * 60)
                time.sleep(0.03)
            while told.count(b"hello") < 480 and (more := connection.recv(65536)):
                told += more
        return told

    assert run_with(client, respond=respond).count(b"200 OK") == 480
    assert max(most) <= MAX_PIPELINED


def test_too_many_requests_behind_one_another_are_hung_up_on():
    async def never(scope, receive, send):
        if scope["type"] == "http":
            await asyncio.sleep(0.2)
        await hello(scope, receive, send)

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            try:
                connection.sendall(REQUEST * (MAX_PIPELINED + 3))
                return connection.recv(65536)
            except ConnectionResetError:
                return b""

    assert run_with(client, respond=never) == b""


@pytest.mark.parametrize("later", [b"\r\n", b"photo"], ids=["an empty line", "a late body"])
def test_what_comes_behind_an_answer_keeps_no_connection_open(later):
    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n"

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(REQUEST if later == b"\r\n" else head)
            told = b""
            while b"hello" not in told and (more := connection.recv(65536)):
                told += more
            time.sleep(0.1)
            connection.sendall(later)
            while connection.recv(65536):
                pass
        return True

    assert run_with(client, keep_alive_s=1)
