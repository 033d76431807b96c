"""New connections are held back, and those that exist go on."""

import contextlib
import socket
import sys

import pytest

from app.server.syn_filter import hold_new_connections

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def listener(request):
    family, address = request.param
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        yield listener


@contextlib.contextmanager
def connect(listener):
    with socket.socket(listener.family) as client:
        client.settimeout(0.3)
        client.connect(listener.getsockname())
        yield client


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: its socket filters")
def test_a_new_connection_waits_and_those_before_go_on(listener):
    with connect(listener) as accepted, connect(listener) as queued:
        served, _ = listener.accept()
        with served:
            assert hold_new_connections(listener)
            with pytest.raises(TimeoutError), connect(listener):
                pass
            accepted.sendall(b"a request")
            assert served.recv(100) == b"a request"
            served.sendall(b"a response")
            assert accepted.recv(100) == b"a response"
            queued.sendall(b"another")
            last, _ = listener.accept()
            with last:
                assert last.recv(100) == b"another"
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_where_it_is_impossible_nothing_changes(listener, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not hold_new_connections(listener)
    with connect(listener):
        listener.accept()[0].close()
