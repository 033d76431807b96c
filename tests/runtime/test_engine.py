"""The engine: its queue is bounded, each job gets its own result, and nothing is kept in memory."""

import gc
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DeadlinePassed, QueueFull
from app.runtime.engine import Engine


class Gate:
    """Work that blocks its thread until it is opened."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.opened = threading.Event()

    def __call__(self, queue_s: float) -> str:
        self.began.set()
        assert self.opened.wait(30)
        return "through"


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def busy(gate):
    """An engine with one thread, which the gate keeps busy; four jobs may wait."""
    with Engine(threads=1, deadline_s=10, service_s=2) as engine:
        engine.held = engine.submit(gate)[0]
        assert gate.began.wait(30)
        yield engine
        gate.opened.set()


def test_work_that_does_not_fit_is_refused_at_once_with_a_time_to_retry(busy):
    assert busy.capacity == 4
    busy.submit(*[lambda queue_s: None] * 4)
    with pytest.raises(QueueFull, match="4 images are waiting and 4 can be done in time") as caught:
        busy.submit(lambda queue_s: None)
    assert caught.value.retry_after_s == 4  # half of four jobs of two seconds on one thread
    with pytest.raises(QueueFull):
        busy.check_room()


def test_retry_after_is_never_less_than_a_second(gate):
    with Engine(threads=1, deadline_s=0.001, service_s=0.01) as engine:
        engine.submit(gate)
        assert gate.began.wait(30)
        engine.submit(lambda queue_s: None)
        with pytest.raises(QueueFull) as caught:
            engine.submit(lambda queue_s: None)
        gate.opened.set()
    assert caught.value.retry_after_s == 1


def test_jobs_are_queued_all_or_none(busy, gate):
    ran = []
    busy.submit(*[lambda queue_s: None] * 2)
    with pytest.raises(QueueFull):
        busy.submit(*[ran.append] * 3)
    assert busy.depth == 2
    last = busy.submit(*[lambda queue_s: None] * 2)
    gate.opened.set()
    wait(last, 30)
    assert ran == []


def test_cancelled_work_leaves_the_queue_and_never_runs(busy, gate):
    ran = []
    cancelled, kept = busy.submit(ran.append, ran.append)
    assert busy.depth == 2
    assert cancelled.cancel()
    assert busy.depth == 1
    gate.opened.set()
    kept.result(30)
    assert len(ran) == 1
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_cancelling_makes_room(busy):
    futures = busy.submit(*[lambda queue_s: None] * 4)
    futures[2].cancel()
    busy.submit(lambda queue_s: None)
    assert busy.depth == 4


def test_running_work_cannot_be_cancelled(busy, gate):
    assert not busy.held.cancel()
    gate.opened.set()
    assert busy.held.result(30) == "through"


def test_work_whose_deadline_has_passed_is_not_run(gate):
    ran = []
    with Engine(threads=1, deadline_s=0.02, service_s=0.001) as engine:
        engine.submit(gate)
        assert gate.began.wait(30)
        (late,) = engine.submit(ran.append)
        time.sleep(0.03)
        gate.opened.set()
        with pytest.raises(DeadlinePassed, match=r"responses are due in 0.02 s"):
            late.result(30)
    assert ran == []


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3)], ids=["error", "exit"])
def test_an_exception_reaches_its_own_future_only(error):
    def fail(queue_s):
        raise error

    with Engine(threads=2, deadline_s=10) as engine:
        good, bad, other = engine.submit(lambda _: 1, fail, lambda _: 2)
        assert bad.exception(30) is error
        assert (good.result(30), other.result(30)) == (1, 2)
        assert engine.submit(lambda _: 3)[0].result(30) == 3  # the threads are still alive


def test_closing_finishes_queued_work(gate):
    with Engine(threads=2, deadline_s=10) as engine:
        first = engine.submit(gate)
        rest = engine.submit(*[lambda queue_s: "done"] * 20)
        gate.opened.set()
    assert [f.result(0) for f in (*first, *rest)] == ["through", *["done"] * 20]
    assert not any(t.is_alive() for t in engine._threads)


class Photo:
    """An object that a weak reference can point to."""


@pytest.mark.parametrize("fails", [False, True], ids=["good", "broken"])
def test_finished_work_is_freed(fails):
    def work(photo, queue_s):
        if fails:
            raise ValueError("broken")

    with Engine(threads=2, deadline_s=10) as engine:
        photo = Photo()
        alive = weakref.ref(photo)
        (future,) = engine.submit(partial(work, photo))
        wait([future], 30)
        # every thread has been back at the queue since
        barrier = threading.Barrier(2)
        wait(engine.submit(*[lambda queue_s: barrier.wait(30)] * 2), 30)
        gc.disable()  # reference counts must suffice: a cycle would keep photos for a while
        try:
            del photo, future, work
            assert alive() is None
        finally:
            gc.enable()


def test_work_receives_the_seconds_that_it_waited(busy, gate):
    began = time.monotonic()
    (future,) = busy.submit(lambda queue_s: queue_s)
    time.sleep(0.02)
    gate.opened.set()
    assert 0.02 <= future.result(30) <= time.monotonic() - began


def test_work_begins_in_the_order_of_submission(busy, gate):
    order = []
    futures = busy.submit(*[partial(lambda i, queue_s: order.append(i), i) for i in range(4)])
    gate.opened.set()
    wait(futures, 30)
    assert order == [0, 1, 2, 3]


def test_a_job_is_the_only_one_while_nothing_else_runs_or_waits(busy, gate):
    assert busy.has_single_job
    first, second = busy.submit(*[lambda queue_s: busy.has_single_job] * 2)
    assert not busy.has_single_job
    gate.opened.set()
    assert (first.result(30), second.result(30)) == (False, True)


def test_two_concurrent_jobs_are_not_a_single_one():
    with Engine(threads=2, deadline_s=10) as engine:
        barrier = threading.Barrier(2)

        def work(queue_s):
            barrier.wait(30)
            is_single = engine.has_single_job
            barrier.wait(30)
            return is_single

        assert [f.result(30) for f in engine.submit(work, work)] == [False, False]


def test_capacity_follows_the_measured_service_time():
    with Engine(threads=1, deadline_s=1, service_s=0.2) as engine:
        assert engine.capacity == 4
        for _ in range(100):
            engine.submit(lambda queue_s: None)[0].result(30)
        faster = engine.capacity
        assert faster > 40
        for _ in range(20):
            engine.submit(lambda queue_s: time.sleep(0.005))[0].result(30)
        assert engine.capacity < faster


def test_as_many_jobs_as_threads_may_always_wait():
    assert Engine(threads=3, deadline_s=1, service_s=60).capacity == 3


@settings(max_examples=20, deadline=None)
@given(
    groups=st.lists(st.lists(st.integers(), min_size=1, max_size=6), min_size=1, max_size=30),
    threads=st.integers(1, 4),
)
def test_many_concurrent_callers_each_get_their_own_results(groups, threads):
    def work(number, queue_s):
        if number % 3 == 0:
            raise ValueError(number)
        return number * 7

    def call(engine, numbers):
        futures = engine.submit(*(partial(work, n) for n in numbers))
        return [f.exception(30).args[0] if f.exception(30) else f.result(30) for f in futures]

    with Engine(threads=threads, deadline_s=60) as engine, ThreadPoolExecutor(8) as callers:
        results = list(callers.map(partial(call, engine), groups))
    assert results == [[n if n % 3 == 0 else n * 7 for n in numbers] for numbers in groups]


def test_the_most_recently_idle_thread_runs_the_next_job():
    names = []

    def work(_queue_s):
        names.append(threading.current_thread().name)

    with Engine(threads=3, deadline_s=10) as engine:
        for _ in range(9):
            while len(engine._idle) < 3:
                time.sleep(0.001)
            engine.submit(work)[0].result()
    assert len(set(names)) == 1
