"""How many connections the limit of open files allows."""

import resource

import pytest

from app.server import open_files
from app.server.open_files import MAX_CONNECTIONS, MAX_HANDSHAKES, ConnectionLimit, raise_limit

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch):
    """Pretend limits of open files; returns those that are set."""
    held = []

    def pretend(soft, hard):
        held[:] = [(soft, hard)]

    monkeypatch.setattr(resource, "getrlimit", lambda _: held[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: held.append(new))
    pretend.held = held
    return pretend


@pytest.mark.parametrize(
    ("files", "connections"),
    [(64, 32), (256, 192), (1024, 960), (100_000, MAX_CONNECTIONS), (UNLIMITED, MAX_CONNECTIONS)],
)
def test_files_are_left_for_other_purposes(limits, files, connections):
    limits(files, files)
    assert ConnectionLimit().connections == connections


@pytest.mark.parametrize(
    ("files", "connections", "handshakes"),
    [(64, 26, 6), (1024, 768, 192), (100_000, MAX_CONNECTIONS, MAX_HANDSHAKES)],
)
def test_handshakes_of_tls_are_part_of_the_limit(limits, files, connections, handshakes):
    limits(files, files)
    limit = ConnectionLimit(tls=True)
    assert (limit.connections, limit.handshakes) == (connections, handshakes)


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 4096, (4096, 4096)),
        (1024, 1_000_000, (open_files._TARGET_FILES, 1_000_000)),
        (1024, UNLIMITED, (open_files._TARGET_FILES, UNLIMITED)),
        (1024, 1024, None),
        (50_000, 50_000, None),
        (UNLIMITED, UNLIMITED, None),
    ],
)
def test_the_soft_limit_is_raised_but_never_lowered(limits, soft, hard, raised):
    limits(soft, hard)
    raise_limit()
    assert limits.held[1:] == ([raised] if raised else [])


def test_refusals_are_logged_now_and_then_with_their_number(limits, caplog, monkeypatch):
    limits(64, 64)
    limit = ConnectionLimit()
    clock = [1000.0]
    monkeypatch.setattr(open_files.time, "monotonic", lambda: clock[0])
    assert limit.admits(32)
    assert not any(limit.admits(33) for _ in range(50))
    clock[0] += open_files._LOG_INTERVAL_S
    assert not limit.admits(33)
    assert [record.args[1] for record in caplog.records] == [1, 50]
