"""Data behind a response are dropped at a limited rate, so that the event loop has time."""

import socket

import pytest

from app.server.dropped_data import BURST_BYTES, BYTES_PER_S, DropRate
from app.settings import Settings


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_body_somewhat_over_the_default_limit_is_dropped_without_a_pause():
    assert DropRate().pause_s(Settings().max_image_bytes + 1_000_000) == 0


def test_more_is_dropped_at_the_rate_whoever_sends_it():
    clock = Clock()
    rate = DropRate(clock)
    rate.pause_s(BURST_BYTES)
    assert rate.pause_s(BURST_BYTES) == pytest.approx(BURST_BYTES / BYTES_PER_S)
    assert rate.pause_s(BURST_BYTES) == pytest.approx(2 * BURST_BYTES / BYTES_PER_S)
    clock.now = 2 * BURST_BYTES / BYTES_PER_S
    assert rate.pause_s(0) == pytest.approx(0)
    clock.now = 1000.0
    assert rate.pause_s(BURST_BYTES) == 0


def test_the_next_request_on_a_paused_connection_is_served(run_with, monkeypatch):
    pauses = []

    class Recording(DropRate):
        def __init__(self):
            super().__init__(Clock())  # it stands still: a slow machine refills nothing

        def pause_s(self, size):
            pauses.append(super().pause_s(size))
            return pauses[-1]

    monkeypatch.setattr("app.server.http_protocol.DropRate", Recording)
    size = int(1.5 * BURST_BYTES)
    head = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n".encode()

    def client(server, loop, port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(head + bytes(size))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            received = b""
            while more := connection.recv(65536):
                received += more
            return received

    assert run_with(client).count(b"200 OK") == 2
    assert max(pauses) > 0
