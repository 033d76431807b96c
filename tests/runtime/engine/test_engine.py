"""The engine: its queue is bounded, each job gets its own result, and nothing is kept in memory."""

import gc
import math
import os
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ClientGone, DeadlinePassed, QueueFull, TooMuchMemory
from app.memory_budget import MemoryBudget
from app.runtime.engine import Engine
from app.vision import Work


class Gate:
    """Work that blocks its thread until it is opened."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.opened = threading.Event()

    def __call__(self, turn) -> str:
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
    """An engine with one thread, which the gate keeps busy; jobs take two seconds, four may wait.

    The queue accepts jobs while those before them take up to eight seconds.
    """
    with Engine(threads=1, deadline_s=10, wait_s=8, service_s=2) as engine:
        engine.held = engine.submit(gate)[0]
        assert gate.began.wait(30)
        yield engine
        gate.opened.set()


def test_work_that_would_wait_too_long_is_refused_at_once_with_a_time_to_retry(busy):
    for _ in range(5):
        busy.check_room()
        busy.submit(lambda turn: None)
    assert busy.is_full()
    with pytest.raises(
        QueueFull, match=r"5 images are waiting, which takes about 10.0 s"
    ) as caught:
        busy.check_room()
    assert caught.value.retry_after_s == 6  # until half of the eight seconds are left
    busy.submit(lambda turn: None)  # its body was read before the queue was full
    with pytest.raises(QueueFull):
        busy.submit(lambda turn: None)


def test_retry_after_is_never_less_than_a_second(gate):
    with Engine(threads=1, deadline_s=0.001, service_s=0.01) as engine:
        engine.submit(gate, deadline=math.inf)
        assert gate.began.wait(30)
        engine.submit(lambda turn: None, deadline=math.inf)
        with pytest.raises(QueueFull) as caught:
            engine.submit(lambda turn: None, deadline=math.inf)
        gate.opened.set()
    assert caught.value.retry_after_s == 1


def test_jobs_are_queued_all_or_none(busy, gate):
    ran = []
    busy.submit(*[lambda turn: None] * 2)
    with pytest.raises(QueueFull, match=r"With 3 more it takes 10.0 s"):
        busy.submit(*[ran.append] * 3)
    assert busy.depth == 2
    last = busy.submit(*[lambda turn: None] * 2)
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
    futures = busy.submit(*[lambda turn: None] * 5)
    assert busy.is_full()
    futures[2].cancel()
    assert not busy.is_full()
    assert busy.depth == 4


def test_running_work_cannot_be_cancelled(busy, gate):
    assert not busy.held.cancel()
    gate.opened.set()
    assert busy.held.result(30) == "through"


def test_work_that_is_cancelled_while_it_runs_ends_before_its_next_stage(gate):
    stages = []

    def work(turn):
        stages.append("decode")
        turn.check()
        gate(turn)
        turn.check()
        stages.append("run")

    with Engine(threads=1, deadline_s=10) as engine:
        (future,) = engine.submit(work)
        assert gate.began.wait(30)
        assert not future.cancel()
        gate.opened.set()
        assert isinstance(future.exception(30), ClientGone)
    assert stages == ["decode"]


def test_work_over_its_deadline_ends_before_its_next_stage(gate):
    stages = []

    def work(turn):
        stages.append("decode")
        gate(turn)
        turn.check()
        stages.append("run")

    with Engine(threads=1, deadline_s=10) as engine:
        deadline = time.monotonic() + 2.0  # a pause may come before the work begins
        (future,) = engine.submit(work, deadline=deadline)
        assert gate.began.wait(30)
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.01)
        gate.opened.set()
        assert isinstance(future.exception(30), DeadlinePassed)
    assert stages == ["decode"]


def test_work_is_not_queued_after_the_deadline_of_its_request():
    with Engine(threads=1, deadline_s=10) as engine, pytest.raises(DeadlinePassed):
        engine.submit(lambda turn: None, deadline=time.monotonic() - 0.5)


def test_work_whose_deadline_has_passed_is_not_run(gate):
    ran = []
    with Engine(threads=1, deadline_s=0.02, service_s=0.001) as engine:
        engine.submit(gate, deadline=math.inf)
        assert gate.began.wait(30)
        (late,) = engine.submit(ran.append)
        time.sleep(0.03)
        gate.opened.set()
        with pytest.raises(DeadlinePassed, match="late and was not finished"):
            late.result(30)
    assert ran == []


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3)], ids=["error", "exit"])
def test_an_exception_reaches_its_own_future_only(error):
    def fail(turn):
        raise error

    with Engine(threads=2, deadline_s=120) as engine:
        good, bad, other = engine.submit(lambda _: 1, fail, lambda _: 2)
        assert bad.exception(30) is error
        assert (good.result(30), other.result(30)) == (1, 2)
        assert engine.submit(lambda _: 3)[0].result(30) == 3  # the threads are still alive


def test_closing_finishes_queued_work(gate):
    with Engine(threads=2, deadline_s=120) as engine:
        first = engine.submit(gate)
        rest = engine.submit(*[lambda turn: "done"] * 20)
        gate.opened.set()
    assert [f.result(0) for f in (*first, *rest)] == ["through", *["done"] * 20]
    assert not any(t.is_alive() for t in engine._threads)


def test_closing_ends_a_thread_that_an_interrupted_call_did_not_wake():
    with Engine(threads=1, deadline_s=3) as engine:
        while not engine._idle:
            time.sleep(0.001)
        engine._idle.pop()  # Ctrl-C came before the thread was woken
    assert not engine._threads[0].is_alive()


class Photo:
    """An object that a weak reference can point to."""


@pytest.mark.parametrize("fails", [False, True], ids=["good", "broken"])
def test_finished_work_is_freed(fails):
    def work(photo, turn):
        if fails:
            raise ValueError("broken")

    with Engine(threads=2, deadline_s=120) as engine:
        photo = Photo()
        alive = weakref.ref(photo)
        (future,) = engine.submit(partial(work, photo))
        wait([future], 30)
        # every thread has been back at the queue since
        barrier = threading.Barrier(2)
        wait(engine.submit(*[lambda turn: barrier.wait(30)] * 2), 30)
        gc.disable()  # reference counts must suffice: a cycle would keep photos for a while
        try:
            del photo, future, work
            assert alive() is None
        finally:
            gc.enable()


def test_work_receives_the_seconds_that_it_waited(busy, gate):
    began = time.monotonic()
    (future,) = busy.submit(lambda turn: turn.queue_s)
    time.sleep(0.02)
    gate.opened.set()
    assert 0.02 <= future.result(30) <= time.monotonic() - began


def test_work_begins_in_the_order_of_submission(busy, gate):
    order = []
    futures = busy.submit(*[partial(lambda i, turn: order.append(i), i) for i in range(4)])
    gate.opened.set()
    wait(futures, 30)
    assert order == [0, 1, 2, 3]


def test_a_job_is_the_only_one_while_nothing_else_runs_or_waits(busy, gate):
    assert busy.has_single_job
    first, second = busy.submit(*[lambda turn: busy.has_single_job] * 2)
    assert not busy.has_single_job
    gate.opened.set()
    assert (first.result(30), second.result(30)) == (False, True)


def test_two_concurrent_jobs_are_not_a_single_one():
    with Engine(threads=2, deadline_s=120) as engine:
        barrier = threading.Barrier(2)

        def work(turn):
            barrier.wait(30)
            is_single = engine.has_single_job
            barrier.wait(30)
            return is_single

        assert [f.result(30) for f in engine.submit(work, work)] == [False, False]


@settings(max_examples=20, deadline=None)
@given(
    groups=st.lists(st.lists(st.integers(), min_size=1, max_size=6), min_size=1, max_size=30),
    threads=st.integers(1, 4),
)
def test_many_concurrent_callers_each_get_their_own_results(groups, threads):
    def work(number, turn):
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

    def work(_turn):
        names.append(threading.current_thread().name)

    with Engine(threads=3, deadline_s=120) as engine:
        for _ in range(9):
            while len(engine._idle) < 3:
                time.sleep(0.001)
            engine.submit(work)[0].result()
    assert len(set(names)) == 1


SMALL = Work(memory_bytes=1000, cost=1.0)
LARGE = Work(memory_bytes=1000, cost=100.0)


def test_small_work_passes_large_work_and_one_thread_stays_free_for_it():
    """Large work fills at most half of the threads, so small work never waits for it."""
    opened = threading.Event()
    began = threading.Semaphore(0)

    def large(turn):
        turn.begin(LARGE)
        began.release()
        assert opened.wait(30)

    def small(turn):
        turn.begin(SMALL)
        return "done"

    with Engine(threads=2, deadline_s=120, wait_s=1e6) as engine:
        slow = engine.submit(*[large] * 5, client="a")
        assert began.acquire(timeout=30)
        fast = engine.submit(*[small] * 20, client="b")
        assert [future.result(30) for future in fast] == ["done"] * 20
        assert not any(future.done() for future in slow)
        assert engine.large_depth == 4
        opened.set()
        wait(slow, 30)


def test_work_waits_for_memory_without_a_thread_and_begins_when_there_is_room():
    memory = MemoryBudget(1500)
    assert memory.try_take(1000)
    with Engine(threads=1, deadline_s=120, memory=memory) as engine:
        (future,) = engine.submit(lambda turn: turn.begin(SMALL) or "begun")
        (other,) = engine.submit(lambda turn: "other")
        assert other.result(30) == "other"
        assert engine.large_depth == 1
        memory.give_back(1000)
        assert future.result(30) == "begun"
    assert memory.held_bytes == 0


def test_work_that_can_never_have_its_memory_is_refused_for_good():
    with Engine(threads=1, deadline_s=120, memory=MemoryBudget(999)) as engine:
        (future,) = engine.submit(lambda turn: turn.begin(SMALL))
        assert isinstance(future.exception(30), TooMuchMemory)


@pytest.mark.parametrize("work", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fails", [False, True], ids=["good", "broken"])
def test_memory_is_given_back(work, fails):
    memory = MemoryBudget(5000)

    def job(turn):
        turn.begin(work)
        held.append(memory.held_bytes)
        if fails:
            raise ValueError("broken")

    held = []
    with Engine(threads=2, deadline_s=120, memory=memory) as engine:
        wait(engine.submit(job), 30)
    assert held == [1000]
    assert memory.held_bytes == 0


def test_large_work_whose_client_leaves_while_it_waits_is_dropped():
    memory = MemoryBudget(1500)
    assert memory.try_take(1000)
    ran = []
    with Engine(threads=1, deadline_s=120, memory=memory) as engine:
        (future,) = engine.submit(lambda turn: turn.begin(SMALL) or ran.append(turn))
        engine.submit(lambda turn: None)[0].result(30)
        assert engine.large_depth == 1
        future.cancel()
        assert isinstance(future.exception(30), ClientGone)
        assert engine.large_depth == 0
        memory.give_back(1000)
    assert ran == []


MEMORY_BYTES = 3000
WORKS = st.sampled_from([SMALL, LARGE, Work(1500, 1.0), Work(2500, 1e3), Work(9999, 1.0)])


def _job(work, fails, turn):
    turn.begin(work)
    turn.check()
    if fails:
        raise ValueError("broken")
    return work


def _check_result(future, work, fails):
    try:
        assert future.result(30) is work
        assert not fails
    except ValueError:
        assert fails
    except TooMuchMemory:
        assert work.memory_bytes > MEMORY_BYTES
    except (QueueFull, ClientGone, CancelledError):
        pass


@settings(max_examples=25, deadline=None)
@given(
    groups=st.lists(
        st.lists(st.tuples(WORKS, st.booleans()), min_size=1, max_size=5), min_size=1, max_size=20
    ),
    threads=st.integers(1, 4),
    cancelled=st.sets(st.integers(0, 19)),
)
def test_no_job_is_lost_and_all_memory_is_given_back(groups, threads, cancelled):
    """Every future ends, whatever its work, whether it fails, and whether its client leaves."""
    memory = MemoryBudget(MEMORY_BYTES)

    def call(engine, index):
        works = groups[index]
        try:
            jobs = [partial(_job, *each) for each in works]
            futures = engine.submit(*jobs, client=str(index % 3))
        except QueueFull:
            return
        if index in cancelled:
            for future in futures:
                future.cancel()
        for future, (work, fails) in zip(futures, works, strict=True):
            _check_result(future, work, fails)

    with (
        Engine(threads=threads, deadline_s=60, memory=memory) as engine,
        ThreadPoolExecutor(8) as callers,
    ):
        list(callers.map(partial(call, engine), range(len(groups))))
        assert engine.depth == 0
    assert memory.held_bytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux")
@pytest.mark.parametrize(("behind", "more"), [(True, 5), (False, 0)])
def test_the_threads_of_the_service_go_behind_the_event_loop(behind, more):
    def nice(_turn=None) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with Engine(threads=1, deadline_s=5, behind_event_loop=behind) as engine:
        assert engine.submit(nice)[0].result(5) == nice() + more
