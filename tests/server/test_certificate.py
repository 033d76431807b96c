"""TLS: handshakes that fail or take long, renewed certificates, wrong files."""

import contextlib
import os
import shutil
import socket
import ssl
import time
from pathlib import Path

import pytest

from app.errors import BadParameter
from app.server import accept_queue
from app.server.certificate import Certificate

HERE = Path(__file__).with_name("certificates")
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def files(tmp_path):
    """A certificate and its key that a test may replace."""
    return [
        Path(shutil.copy(HERE / f"one.{end}", tmp_path / f"mine.{end}")) for end in ("pem", "key")
    ]


def trusting(name):
    return ssl.create_default_context(cafile=HERE / f"{name}.pem")


@contextlib.contextmanager
def connected(port, name="one"):
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        trusting(name).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


def exchange(port, name="one"):
    with connected(port, name) as connection:
        connection.sendall(REQUEST)
        return connection.recv(65536)


@pytest.mark.parametrize("loop_name", ["uvloop", "asyncio"])
def test_requests_are_served_over_tls_and_what_is_no_tls_is_closed(run_with, files, loop_name):
    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.sendall(REQUEST)
            refused = b""
            with contextlib.suppress(ConnectionError):
                refused = plain.recv(65536)
        with connected(port) as connection:
            versions = connection.version(), connection.selected_alpn_protocol()
        return refused, versions, [exchange(port) for _ in range(2)]

    refused, versions, served = run_with(client, loop_name, certificate=Certificate(*files))
    assert not refused.startswith(b"HTTP")
    assert versions == ("TLSv1.3", None)
    assert all(reply.startswith(b"HTTP/1.1 200") for reply in served)


def test_silent_clients_delay_nobody_and_are_limited(run_with, files, monkeypatch):
    monkeypatch.setattr(accept_queue, "_SLOW_HANDSHAKE_S", 60.0)
    monkeypatch.setattr(accept_queue, "_HANDSHAKE_S", 1.0)
    monkeypatch.setattr(accept_queue, "_LAST_HANDSHAKES_S", 0.1)

    def client(server, loop, port):
        with contextlib.ExitStack() as stack:
            silent = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                for _ in range(8)
            ]
            closed = [each.recv(100) for each in silent[5:]]  # above the limit: at once
            for each in silent[:5]:
                with contextlib.suppress(ConnectionError):
                    each.recv(100)  # after the time limit of the handshake
            for _ in range(200):  # the server may still count the last of them
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    return closed, exchange(port)
                time.sleep(0.02)
            return closed, b""

    closed, served = run_with(client, certificate=Certificate(*files), max_handshakes=5)
    assert closed == [b""] * 3
    assert served.startswith(b"HTTP/1.1 200")


def test_a_slow_handshake_makes_room_for_others(run_with, files, monkeypatch):
    monkeypatch.setattr(accept_queue, "_SLOW_HANDSHAKE_S", 0.0)

    def client(server, loop, port):
        with contextlib.ExitStack() as stack:
            silent = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
                for _ in range(8)
            ]
            served = exchange(port)
            closed = 0
            for each in silent[:4]:  # those before the last five, one of which made the request
                with contextlib.suppress(ConnectionError):
                    closed += each.recv(100) == b""
            return closed, served

    closed, served = run_with(client, certificate=Certificate(*files), max_handshakes=5)
    assert closed == 4
    assert served.startswith(b"HTTP/1.1 200")


def test_handshakes_under_way_end_with_the_server(run_with, files, monkeypatch):
    monkeypatch.setattr(accept_queue, "_LAST_HANDSHAKES_S", 0.1)

    def client(server, loop, port):
        silent = socket.create_connection(("127.0.0.1", port), timeout=20)
        time.sleep(0.1)
        server.should_exit = True
        with silent, contextlib.suppress(ConnectionError):
            return silent.recv(100)
        return b""

    assert run_with(client, certificate=Certificate(*files)) == b""


def test_a_large_body_that_is_refused_gets_its_response(run_with, files):
    async def refuse(scope, receive, send):
        if scope["type"] == "http":
            start = {
                "type": "http.response.start",
                "status": 413,
                "headers": [(b"content-length", b"0")],
            }
            await send(start)
            await send({"type": "http.response.body"})

    def client(server, loop, port):
        with connected(port) as connection:
            head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n"
            connection.sendall(head + bytes(3_000_000))
            first = connection.recv(65536)
            connection.sendall(REQUEST)
            return first, connection.recv(65536)

    both = run_with(client, respond=refuse, certificate=Certificate(*files))
    assert [reply[:12] for reply in both] == [b"HTTP/1.1 413"] * 2


def test_a_renewed_certificate_is_used_for_new_connections(run_with, files, caplog):
    certificate = Certificate(*files, interval_s=60)

    def client(server, loop, port):
        with connected(port) as old:
            shutil.copy(HERE / "other.pem", files[0])
            os.utime(files[0], (1, 1))  # another time of change, whatever the file system resolves
            certificate.follow()
            before = exchange(port)
            shutil.copy(HERE / "other.key", files[1])
            os.utime(files[1], (1, 1))
            certificate.follow()
            old.sendall(REQUEST)
            return before, exchange(port, "other"), old.recv(65536)

    replies = run_with(client, certificate=certificate)
    assert all(reply.startswith(b"HTTP/1.1 200") for reply in replies)
    assert "The certificate stays as it was: The key in" in caplog.text


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("none.pem", "one.key"), "HUBEL_TLS_CERT=.*none.pem can't be read"),
        (("one.pem", "."), "HUBEL_TLS_KEY=.* can't be read"),
        (("one.pem", "other.key"), "is not that of the certificate in .*one.pem"),
        (("one.pem", "locked.key"), "no certificate and its key without a password"),
        (("README.md", "one.key"), "no certificate and its key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_files_are_one_sentence(pair, words):
    with pytest.raises(BadParameter, match=words):
        Certificate(*(HERE / name for name in pair))
