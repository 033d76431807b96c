"""One simulated machine: its cores, the event loop, the engine's threads, and the engine's queue.

    arrival -> the event loop -> is the queue full? -> a refusal
                              -> the body is read -> WorkQueue -> a thread -> the event loop

The queue is not a model of the engine's but its own class, `WorkQueue`, with the simulated clock.
Cores are shared in slices of a millisecond by virtual time, as Linux shares them: the next slice is
for the thread that has had the least for its weight (`Cores`). What other processes take of the
cores is one more thread.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from app.errors import QueueFull
from app.memory_budget import MemoryBudget
from app.runtime.engine.job import Batch, Job, JobFuture
from app.runtime.engine.work_queue import WorkQueue
from app.thread_priority import BEHIND_EVENT_LOOP
from benchmarks.simulation.costs import Costs

SLICE_S = 0.001
_NOTHING_S = 1e-9
_DEADLINE_S = 10.0
_MEMORY_BYTES = 1 << 40
_ENGINE_WEIGHT = 1.25**-BEHIND_EVENT_LOOP
"""Linux' weight of a thread with that nice value, beside 1 of the event loop."""

Process = Generator[simpy.Event, Any, None]


@dataclass
class Responses:
    """What clients got."""

    latencies_s: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from the time at which a request was due, by status."""

    def count(self, status: int) -> int:
        """Return the number of responses with a status."""
        return len(self.latencies_s[status])


class Cores:
    """The cores of a machine, shared fairly.

    Args:
        environment: the simulation.
        count: the number of cores.
    """

    def __init__(self, environment: simpy.Environment, count: int) -> None:
        self.environment = environment
        self.resource = simpy.PriorityResource(environment, count)
        self.busy_s = 0.0
        """Seconds of all cores that were used."""
        self.virtual_s = 0.0
        """The virtual time of the thread that began a slice last: what a busy thread has had."""


class Thread:
    """A thread that shares the cores.

    Args:
        cores: the cores.
        weight: its share beside a thread of weight 1.
    """

    def __init__(self, cores: Cores, weight: float = 1.0) -> None:
        self._cores = cores
        self._weight = weight
        self._turn: Any = None
        self._left_s = 0.0
        self._virtual_s = 0.0

    def work(self, seconds: float) -> Process:
        """Use a core for `seconds`, in slices; keep it afterwards until `sleep`."""
        while seconds > 0:
            if self._turn is None:
                yield from self._wait_for_core()
            step = min(seconds, self._left_s)
            yield self._cores.environment.timeout(step)
            self._virtual_s += step / self._weight
            self._cores.busy_s += step
            seconds -= step
            self._left_s -= step
            if self._left_s <= _NOTHING_S:
                self.sleep()

    def sleep(self) -> None:
        """Give the core back."""
        if self._turn is not None:
            self._cores.resource.release(self._turn)
            self._turn = None

    def _wait_for_core(self) -> Process:
        # a thread that has slept is first in line, and gets no more for it than a slice
        self._virtual_s = max(self._virtual_s, self._cores.virtual_s - SLICE_S)
        self._turn = self._cores.resource.request(priority=round(self._virtual_s * 1e9))
        yield self._turn
        self._cores.virtual_s = max(self._cores.virtual_s, self._virtual_s)
        self._left_s = SLICE_S


class Machine:
    """A machine with one service.

    Args:
        environment: the simulation.
        costs: what requests cost.
        cores: the number of cores.
        threads: the number of the engine's threads.
        wait_s: HUBEL_QUEUE_WAIT_S.
        others: the number of cores that other processes take, if they can.
        random_numbers: the source of the costs of photos.
    """

    def __init__(
        self,
        environment: simpy.Environment,
        costs: Costs,
        *,
        cores: int = 2,
        threads: int = 3,
        wait_s: float = 1.0,
        others: float = 0.0,
        random_numbers: random.Random,
    ) -> None:
        self._environment = environment
        self._costs = costs
        self._random = random_numbers
        self._cores = Cores(environment, cores)
        self._loop = Thread(self._cores)
        self._tasks: simpy.Store = simpy.Store(environment)
        """What the event loop does next: generators."""
        self._idle: list[simpy.Event] = []
        self.queue = WorkQueue(
            threads=threads,
            cores=cores,
            wait_s=wait_s,
            deadline_s=_DEADLINE_S,
            service_s=sum(costs.photo_s) / len(costs.photo_s),
            memory=MemoryBudget(_MEMORY_BYTES),
            clock=lambda: float(environment.now),
        )
        environment.process(self._event_loop())
        for _ in range(threads):
            environment.process(self._thread())
        if others:
            environment.process(self._other_processes(others))

    @property
    def busy_s(self) -> float:
        """Seconds of all cores that were used."""
        return self._cores.busy_s

    def request(self, responses: Responses) -> simpy.Event:
        """Send a request that is due now; return the event of its response."""
        done = self._environment.event()
        self._tasks.put(self._arrive(responses, float(self._environment.now), done))
        return done

    def _other_processes(self, cores: float) -> Process:
        thread = Thread(self._cores)
        owed_s, since = 0.0, float(self._environment.now)
        while True:
            yield self._environment.timeout(SLICE_S)
            now = float(self._environment.now)
            owed_s, since = owed_s + cores * (now - since), now
            if owed_s >= SLICE_S:
                yield from thread.work(SLICE_S)
                thread.sleep()
                owed_s -= SLICE_S

    def _event_loop(self) -> Process:
        while True:
            if not self._tasks.items:
                self._loop.sleep()
            task = yield self._tasks.get()
            yield from task

    def _arrive(self, responses: Responses, due: float, done: simpy.Event) -> Process:
        if self.queue.is_full():
            yield from self._respond(responses, due, done, 429, self._costs.refusal_s)
            return
        yield from self._loop.work(self._costs.request_s / 2)
        now = float(self._environment.now)
        try:
            self.queue.check_room(1)
        except QueueFull:
            yield from self._respond(responses, due, done, 429, self._costs.request_s / 2)
            return
        job = Job(
            lambda turn: None, Batch(now, now + _DEADLINE_S, ""), JobFuture(lambda future: None)
        )

        def ended(status: int) -> None:
            cost = self._costs.request_s / 2
            self._tasks.put(self._respond(responses, due, done, status, cost))

        job.run = ended  # type: ignore[assignment]
        self.queue.push([job])
        if self._idle:
            self._idle.pop().succeed()

    def _respond(
        self, responses: Responses, due: float, done: simpy.Event, status: int, seconds: float
    ) -> Process:
        yield from self._loop.work(seconds)
        responses.latencies_s[status].append(float(self._environment.now) - due)
        done.succeed(status)

    def _thread(self) -> Process:
        thread = Thread(self._cores, _ENGINE_WEIGHT)
        while True:
            job = self.queue.take()
            if job is None:
                thread.sleep()
                woken = self._environment.event()
                self._idle.append(woken)
                yield woken
                continue
            ended: Callable[[int], None] = job.run  # type: ignore[assignment]
            if self.queue.begin(job) is not None:
                self.queue.finish(job, None)
                ended(429)
                continue
            began = float(self._environment.now)
            yield from thread.work(self._random.choice(self._costs.photo_s))
            self.queue.finish(job, float(self._environment.now) - began)
            ended(200)


def closed_loop(machine: Machine, environment: simpy.Environment, clients: int) -> Responses:
    """Start clients that send a request whenever they have their response."""
    responses = Responses()

    def client() -> Process:
        while True:
            yield machine.request(responses)

    for _ in range(clients):
        environment.process(client())
    return responses


def open_loop(
    send: Callable[[Responses], object],
    environment: simpy.Environment,
    rate: Callable[[float], float],
    random_numbers: random.Random,
) -> Responses:
    """Start requests at random times (a Poisson process), `rate(now)` a second."""
    responses = Responses()

    def arrivals() -> Process:
        while True:
            yield environment.timeout(random_numbers.expovariate(rate(float(environment.now))))
            send(responses)

    environment.process(arrivals())
    return responses


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by nearest rank; infinity if there are no values."""
    if not values:
        return float("inf")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
