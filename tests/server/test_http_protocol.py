"""How much of a body waits for the application before its sender does."""

from types import SimpleNamespace

import pytest

from app.server.http_protocol import MAX_WAITING_BYTES, BoundedProtocol


@pytest.fixture
def protocol():
    """One connection with a request under way, and a record of what it was told."""
    told = []
    made = object.__new__(BoundedProtocol)
    made.cycle = SimpleNamespace(
        body=b"",
        response_complete=False,
        message_event=SimpleNamespace(set=lambda: told.append("read")),
    )
    made.flow = SimpleNamespace(pause_reading=lambda: told.append("pause"))
    made.told = told
    return made


def test_a_photo_of_ordinary_size_is_taken_without_a_pause(protocol):
    for _ in range(MAX_WAITING_BYTES // 65536):
        protocol.on_body(bytes(65536))
    assert set(protocol.told) == {"read"}


def test_beyond_that_the_sender_waits(protocol):
    protocol.on_body(bytes(MAX_WAITING_BYTES))
    protocol.on_body(b"x")
    assert protocol.told == ["read", "pause", "read"]


def test_what_comes_behind_an_answer_is_dropped(protocol):
    protocol.cycle.response_complete = True
    protocol.on_body(b"late")
    assert protocol.cycle.body == b""
    assert protocol.told == []
