"""The order of jobs, the shares of both lanes, and who is refused, with a clock made by hand."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import QueueFull
from app.memory_budget import MemoryBudget
from app.runtime.engine.job import Batch, Job, JobFuture
from app.runtime.engine.work_queue import WorkQueue
from app.vision import Work

SERVICE_S = 0.02
UNIT_S = 0.003


class SimulatedJob(Job):
    """A job that says how long it takes and what its header announces."""

    def __init__(self, batch, seconds, memory_bytes):
        super().__init__(lambda turn: None, batch, JobFuture(lambda future: None))
        self.seconds = seconds
        self.header = Work(memory_bytes, seconds / UNIT_S)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


@dataclass
class Simulation:
    """A queue, its clock, and threads whose jobs take the time that is written on them."""

    threads: int = 2
    wait_s: float = 1.0
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(10_000))
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        self.queue = WorkQueue(
            threads=self.threads,
            cores=self.threads,
            wait_s=self.wait_s,
            deadline_s=max(10.0, 2 * self.wait_s),
            service_s=SERVICE_S,
            memory=self.memory,
            clock=self.clock,
        )
        self.running = []
        self.begun = []
        self.refused = []

    def arrive(self, seconds=SERVICE_S, jobs=1, client="a", memory_bytes=10):
        batch = Batch(self.clock.now, float("inf"), client)
        new = [SimulatedJob(batch, seconds, memory_bytes) for _ in range(jobs)]
        if self.queue.is_full():
            self.refused += new
            return []
        try:
            self.queue.check_room(jobs)
        except QueueFull:
            self.refused += new
            return []
        self.queue.push(new)
        self.fill()
        return new

    def fill(self):
        """Let idle threads take jobs."""
        while len(self.running) < self.threads and (job := self.queue.take()):
            if self.queue.begin(job):
                self.refused.append(job)
                self.queue.finish(job, None)
            elif job.work is None and not self.queue.may_begin(job, job.header):
                try:
                    self.queue.put_back(job, job.header)
                except QueueFull:
                    self.refused.append(job)
            else:
                job.begun_at = self.clock.now
                self.begun.append(job)
                self.running.append((self.clock.now + job.seconds, job))

    def run(self, seconds):
        """Let time pass."""
        end = self.clock.now + seconds
        while self.running and min(at for at, _ in self.running) <= end:
            at, job = min(self.running, key=lambda each: each[0])
            self.running.remove((at, job))
            self.clock.now = max(self.clock.now, at)
            self.queue.give_back(job)
            self.queue.finish(job, job.seconds)
            self.fill()
        self.clock.now = end


def test_small_work_begins_in_the_order_of_arrival():
    sim = Simulation(threads=1)
    jobs = [sim.arrive()[0] for _ in range(10)]
    sim.run(60)
    assert sim.begun == jobs


def test_shorter_large_work_passes_longer_work_that_came_with_it():
    sim = Simulation(threads=2, wait_s=100)
    running = sim.arrive(5.0, client="z")
    long, short, middle = (sim.arrive(s, client=c)[0] for s, c in ((4, "a"), (0.5, "b"), (2, "c")))
    sim.run(60)
    assert sim.begun == [*running, short, middle, long]


def test_large_work_that_waits_long_is_no_longer_passed():
    sim = Simulation(threads=2, wait_s=100)
    sim.arrive(5.0, client="z")
    (long,) = sim.arrive(4.0, client="a")
    for number in range(40):
        sim.run(0.5)
        sim.arrive(0.5, client=f"b{number}")
    assert long in sim.begun
    # those that came within its four seconds have passed it, and no others
    assert sim.begun.index(long) <= 9


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
def test_small_work_always_finds_a_thread_beside_large_work(threads):
    sim = Simulation(threads=threads, wait_s=1000)
    for number in range(20):
        sim.arrive(2.0, client=f"large {number}")
    for _ in range(50):
        (small,) = sim.arrive(client="small")
        assert small in sim.begun
        sim.run(SERVICE_S)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_work_gets_its_share_while_small_work_never_ends(threads):
    sim = Simulation(threads=threads)
    for _ in range(3):
        sim.arrive(0.4, client="large")
    steps = 0
    while sum(job.seconds > 0.1 for job in sim.begun) < 2:
        sim.arrive()
        sim.arrive()
        sim.run(SERVICE_S / threads)  # more small work than can be done
        steps += 1
        assert steps < 1000, "large work starves"


def test_the_large_work_of_one_client_takes_a_part_of_the_lane():
    sim = Simulation(threads=2, wait_s=2.0)
    for _ in range(10):
        sim.arrive(0.5, client="greedy")
    refused = len(sim.refused)
    assert refused >= 6
    (other,) = sim.arrive(0.5, client="modest")
    assert len(sim.refused) == refused
    sim.run(60)
    assert other in sim.begun


def test_an_empty_lane_accepts_large_work_of_any_length():
    sim = Simulation(threads=2, wait_s=0.1)
    sim.arrive(5.0, client="a")
    sim.arrive(5.0, client="a")  # the first runs, so the lane is empty
    assert sim.refused == []
    sim.arrive(5.0, client="a")
    assert len(sim.refused) == 1


def test_a_burst_is_absorbed_if_it_is_done_within_the_limit():
    sim = Simulation(threads=2)
    for _ in range(100):  # 100 jobs of 20 ms on two threads: one second
        sim.arrive()
    assert sim.refused == []
    sim.run(60)
    assert len(sim.begun) == 100


@pytest.mark.parametrize("factor", [2, 5, 10])
def test_under_lasting_overload_the_threads_are_busy_and_waits_are_bounded(factor):
    sim = Simulation(threads=2)
    step = SERVICE_S / 2 / factor
    for _ in range(int(10 / step)):
        sim.arrive()
        sim.run(step)
    waits = [job.begun_at - job.batch.enqueued_at for job in sim.begun]
    assert len(sim.begun) > 0.98 * 10 / (SERVICE_S / 2)
    assert max(waits) <= 1.3
    sim.run(2.0)
    assert not sim.queue.is_full()


def test_a_queue_whose_jobs_take_longer_than_expected_is_shortened():
    """The estimate is wrong by a factor of eight and learns slowly; the measured wait decides."""
    sim = Simulation(threads=2)
    slow_s = 8 * SERVICE_S
    sim.queue._cost_s.configure(UNIT_S / 100)  # so that slow jobs don't count as large
    for _ in range(2000):
        sim.arrive(slow_s)
        sim.run(0.005)
    begun = [job for job in sim.begun if job.begun_at > 5]
    waits = [job.begun_at - job.batch.enqueued_at for job in begun]
    assert max(waits) <= 2.0 + slow_s
    assert len(begun) >= 0.95 * (sim.clock.now - 5) / (slow_s / 2)


def test_a_queue_that_was_abandoned_does_not_stand():
    """All waiting clients of a standing queue leave; the next ones are served."""
    sim = Simulation(threads=2)
    sim.queue._cost_s.configure(UNIT_S / 100)
    for _ in range(400):
        sim.arrive(8 * SERVICE_S)
        sim.run(0.005)
    assert sim.queue.is_full()
    for future in list(sim.queue._small):
        assert sim.queue.discard(future)
    refused = len(sim.refused)
    for _ in range(5):
        sim.arrive()
    assert len(sim.refused) == refused


@pytest.mark.parametrize("photos", [12, 24, 64])
def test_slow_photos_do_not_refuse_a_batch_for_ever(photos):
    sim = Simulation(threads=2)
    sim.queue._cost_s.configure(UNIT_S / 100)
    for _ in range(photos):
        sim.arrive(0.5)
        sim.run(0.3)
    sim.run(60)
    assert len(sim.arrive(jobs=64)) == 64
    sim.run(60)
    assert sim.queue.depth == 0


def test_estimates_of_an_idle_service_heal():
    sim = Simulation(threads=2)
    usual = sim.queue.capacity
    sim.queue._cost_s.configure(UNIT_S / 100)
    for _ in range(200):
        sim.arrive(0.3)
        sim.run(0.15)
    sim.run(1)
    assert sim.queue.capacity < usual / 3
    sim.run(600)
    assert sim.queue.capacity == pytest.approx(usual, abs=1)


def test_jobs_that_run_alone_do_not_count_as_throughput():
    sim = Simulation(threads=2)
    usual = sim.queue.capacity
    for _ in range(200):
        sim.arrive(SERVICE_S / 4)  # on all cores
        sim.run(1)
    assert sim.queue.capacity == usual


def test_failed_work_counts_like_other_work():
    sim = Simulation(threads=1)
    usual = sim.queue.capacity
    for _ in range(50):
        sim.arrive(SERVICE_S * 4)  # `finish` is not told whether a job succeeded
        sim.run(1)
    assert sim.queue.capacity < usual / 2


def test_small_work_without_memory_waits_for_it_and_is_not_passed_for_ever():
    sim = Simulation(threads=2, memory=MemoryBudget(100))
    assert sim.memory.try_take(95)
    (waiting,) = sim.arrive(memory_bytes=10)
    (other,) = sim.arrive(memory_bytes=5)
    assert sim.begun == [other]
    sim.run(1)
    sim.memory.give_back(95)
    sim.fill()
    sim.run(1)
    assert sim.begun == [other, waiting]
    assert sim.memory.held_bytes == 0


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0.001, 0.02, 0.05, 0.2, 1.0, 4.0]),  # seconds
        st.integers(1, 8),  # jobs
        st.sampled_from("abc"),  # client
        st.sampled_from([1, 10, 60, 100]),  # memory
        st.floats(0, 0.5),  # pause
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(arrivals=ARRIVALS, threads=st.integers(1, 5))
def test_every_job_begins_once_or_is_refused(arrivals, threads):
    """No job is lost or starves, no memory is kept, and small work keeps its order."""
    sim = Simulation(threads=threads, memory=MemoryBudget(100))
    accepted, offered = [], 0
    for seconds, jobs, client, memory_bytes, pause_s in arrivals:
        accepted += sim.arrive(seconds, jobs, client, memory_bytes)
        offered += jobs
        held = sum(job.header.memory_bytes for _, job in sim.running)
        assert sim.memory.held_bytes == held <= 100
        assert sum(job.work is not None for _, job in sim.running) <= max(1, threads // 2)
        sim.run(pause_s)
    sim.run(10_000)
    assert sim.queue.depth == 0
    assert len(sim.begun) == len(set(sim.begun))
    assert len(sim.begun) + len(sim.refused) == offered
    assert sim.memory.held_bytes == 0
    straight = [job for job in sim.begun if job.work is None]
    assert straight == [job for job in accepted if job in set(straight)]
