"""The backlog of shadow runs: bounded, after requests, and dropped first."""

import threading
from types import SimpleNamespace

import pytest

from app.memory_budget import MemoryBudget
from app.runtime.trials import backlog as backlogs
from app.runtime.trials.backlog import MAX_RUNS, Backlog


class Engine:
    """The part of an engine that is used."""

    has_spare_core = True
    is_idle = True


class Run:
    """A run that holds some bytes."""

    def __init__(self, held_bytes=10, created_at=1e18):
        self.held_bytes, self.created_at = held_bytes, created_at
        self.dropped = []
        self.comparison = SimpleNamespace(drop=self.dropped.append)


@pytest.fixture
def memory():
    return MemoryBudget(10_000)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def ran():
    return []


@pytest.fixture
def backlog(engine, memory, ran):
    with Backlog(engine, memory, lambda run, idle: ran.append((run, idle))) as backlog:
        yield backlog


def test_runs_are_carried_out_and_give_their_memory_back(backlog, memory, ran, until):
    runs = [Run(), Run()]
    assert backlog.hold(runs) == runs
    assert memory.held_bytes == 20
    backlog.add(runs)
    until(lambda: len(ran) == 2)
    until(lambda: memory.held_bytes == 0)


def test_a_service_without_a_shadow_has_no_thread(backlog):
    backlog.add([])
    assert "shadow" not in {thread.name for thread in threading.enumerate()}


def test_nothing_runs_while_no_core_is_free(backlog, engine, ran, until):
    engine.has_spare_core = False
    runs = backlog.hold([Run()])
    backlog.add(runs)
    threading.Event().wait(0.05)
    assert ran == []
    engine.has_spare_core = True
    until(lambda: ran)


def test_a_gap_between_requests_is_not_used(backlog, engine, ran, monkeypatch):
    looks = iter(range(10_000))  # the first finds a busy engine, the next two a free core
    monkeypatch.setattr(Engine, "has_spare_core", property(lambda self: next(looks) % 3 > 0))
    backlog.add(backlog.hold([Run()]))
    threading.Event().wait(0.1)
    assert next(looks) > 2
    assert ran == []


def test_a_run_that_has_waited_too_long_is_dropped(backlog, engine, memory, ran, until):
    engine.has_spare_core = False
    old = Run(created_at=-1e9)
    backlog.add(backlog.hold([old]))
    until(lambda: old.dropped == ["busy"])
    until(lambda: memory.held_bytes == 0)
    assert ran == []


def test_the_number_of_waiting_runs_is_bounded(backlog, engine, memory):
    engine.has_spare_core = False
    runs = [Run() for _ in range(MAX_RUNS + 3)]
    backlog.add(backlog.hold(runs))
    assert [run.dropped for run in runs[-4:]] == [[], ["busy"], ["busy"], ["busy"]]
    assert memory.held_bytes == MAX_RUNS * 10


def test_memory_that_is_half_full_is_left_to_requests(backlog, memory):
    assert memory.try_take(5_001)
    run = Run()
    assert backlog.hold([run]) == []
    assert run.dropped == ["memory"]


def test_the_memory_of_waiting_runs_is_bounded(engine, ran, monkeypatch):
    monkeypatch.setattr(backlogs, "MAX_BYTES", 15)
    with Backlog(engine, MemoryBudget(10_000), lambda run, idle: None) as backlog:
        runs = [Run(), Run()]
        assert backlog.hold(runs) == runs[:1]
        backlog.add(runs[:1])


def test_an_error_does_not_end_the_thread(engine, memory, until, caplog):
    ran = []

    def execute(run, idle):
        ran.append(run)
        raise RuntimeError("boom")

    with Backlog(engine, memory, execute) as backlog:
        for _ in range(2):
            backlog.add(backlog.hold([Run()]))
        until(lambda: len(ran) == 2)
    assert "a shadow run failed" in caplog.text
    assert memory.held_bytes == 0
