"""The limit of unread body data at which reading pauses."""

from types import SimpleNamespace

import pytest

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
