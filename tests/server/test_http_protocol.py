"""The limit of unread body data at which reading pauses, and half-closed connections."""

import asyncio
import socket
from types import SimpleNamespace

import pytest

from app.server.dropped_data import DroppedData, DropRate
from app.server.half_closed import CHECK_S, HalfClosedClient
from app.server.http_protocol import MAX_WAITING_BYTES, BoundedProtocol


@pytest.fixture
def protocol():
    """A connection with a running request, and a record of the calls it makes."""
    calls = []
    connection = object.__new__(BoundedProtocol)
    connection.cycle = SimpleNamespace(
        body=b"",
        response_complete=False,
        message_event=SimpleNamespace(set=lambda: calls.append("read")),
    )
    connection.flow = SimpleNamespace(pause_reading=lambda: calls.append("pause"))
    transport = SimpleNamespace(is_closing=lambda: False)
    connection._dropped = DroppedData(transport, connection.flow, DropRate())
    connection.calls = calls
    return connection


def test_a_photo_of_usual_size_arrives_without_a_pause(protocol):
    for _ in range(MAX_WAITING_BYTES // 65536):
        protocol.on_body(bytes(65536))
    assert set(protocol.calls) == {"read"}


def test_reading_pauses_above_the_limit(protocol):
    protocol.on_body(bytes(MAX_WAITING_BYTES))
    protocol.on_body(b"x")
    assert protocol.calls == ["read", "pause", "read"]


def test_body_data_after_the_response_are_dropped(protocol):
    protocol.cycle.response_complete = True
    protocol.on_body(b"late")
    assert protocol.cycle.body == b""
    assert protocol.calls == []


class Waiting:
    """A connection of `asyncio` to a half-closed client, and what was written to it."""

    def __init__(self, client_end):
        self.socket, self.client = client_end
        self.written = b""
        self.aborted = False

    def get_extra_info(self, name):
        return self.socket

    def is_closing(self):
        return self.aborted

    def write(self, data):
        self.written += data
        self.socket.sendall(data)

    def abort(self):
        self.aborted = True


@pytest.fixture
def waiting():
    """A TCP connection whose client has closed its side."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield Waiting((server, client))


def watch(connection, may_probe, turns=4):
    async def run():
        client = HalfClosedClient(connection, asyncio.get_running_loop(), lambda: may_probe)
        await asyncio.sleep((turns + 0.5) * CHECK_S)
        client.stop()

    asyncio.run(run())


def test_a_client_that_only_closed_its_side_gets_one_interim_response(waiting):
    waiting.client.shutdown(socket.SHUT_WR)
    watch(waiting, may_probe=True)
    assert waiting.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not waiting.aborted


def test_a_client_that_has_left_is_detected(waiting):
    waiting.client.close()
    watch(waiting, may_probe=True)
    assert waiting.aborted


def test_a_response_that_has_begun_is_not_interrupted(waiting):
    waiting.client.shutdown(socket.SHUT_WR)
    watch(waiting, may_probe=False)
    assert waiting.written == b""
    assert not waiting.aborted
