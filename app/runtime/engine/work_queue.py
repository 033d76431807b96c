"""The engine's queue: which job is next, and whether there is time for one more.

Small work waits first in, first out. Work is small until its header says otherwise; then it waits
in a lane of its own (`LargeLane`). A thread takes small work if there is any, but large work gets
at least a quarter of the threads' time while both wait, and at most half of the threads.

A request is accepted if the jobs before it begin within `wait_s`, as estimated, and the queue does
not stand, as measured (`StandingQueue`). An empty queue accepts any request. The time for a job
is measured while all threads are busy: a job that runs alone is faster, and says nothing about
how many can be done in a second.

This class has no threads and no lock; `Engine` calls it under its own.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from app.errors import QueueFull
from app.memory_budget import MemoryBudget
from app.runtime.engine.estimate import Estimate
from app.runtime.engine.job import Job, check_wanted
from app.runtime.engine.large_lane import LargeLane
from app.runtime.engine.standing_queue import StandingQueue
from app.vision import Work

_DEADLINE_SHARE = 0.8
"""Share of the deadline in which the jobs of a request should be done; the rest is a reserve."""
COST_S = 0.003
"""Seconds of a unit of cost: of decoding a plain JPEG of 480 x 480 on a usual core."""
LARGE_S = 0.1
"""Expected seconds above which work is large."""
LARGE_BYTES = 64_000_000
"""Bytes of memory above which work is large."""
_ADVICE = "Send a smaller image."
_SMALL_PER_LARGE = 3.0
"""Seconds of small work for each second of large work, while both wait."""
_READ_MARGIN = 1.25
"""The limit for requests whose body has been read, relative to the limit for others. What was
received is only refused if the queue has grown much in the meantime."""


class WorkQueue:
    """The jobs that wait.

    Args:
        threads: the number of threads that take jobs.
        cores: the number of cores that they share.
        wait_s: seconds that a request may be expected to wait.
        deadline_s: seconds after which a result is of no use.
        service_s: expected seconds of one job on one core.
        memory: the memory for large work.
        clock: returns seconds.
    """

    def __init__(
        self,
        *,
        threads: int,
        cores: int,
        wait_s: float,
        deadline_s: float,
        service_s: float,
        memory: MemoryBudget,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads = threads
        self._cores = min(threads, cores)
        self._wait_s = min(wait_s, _DEADLINE_SHARE * deadline_s)
        self._deadline_s = deadline_s
        self._clock = clock
        self._small: OrderedDict[Future[Any], Job] = OrderedDict()
        self._memory = memory
        self._large = LargeLane(self._wait_s, max(1, threads // 2), memory)
        self._standing = StandingQueue(self._wait_s)
        self._interval = Estimate(service_s / self._cores, 0.03, clock)
        """Seconds between two small jobs that end, while all threads are busy."""
        self._cost_s = Estimate(COST_S, 0.2, clock)
        """Seconds of large work for each unit of its cost."""
        self._running = 0
        self._owed_s = 0.0
        """Seconds of small work before the next large work begins, while both wait."""

    @property
    def interval_s(self) -> float:
        """The expected seconds between two small jobs that end, while all threads are busy."""
        return self._interval.value

    def expect(self, service_s: float) -> None:
        """Set the seconds of one job on one core, and forget what was measured."""
        self._interval.configure(service_s / self._cores)

    @property
    def depth(self) -> int:
        """The number of jobs that wait, large ones too."""
        return len(self._small) + len(self._large)

    @property
    def large_depth(self) -> int:
        """The number of large jobs that wait."""
        return len(self._large)

    @property
    def capacity(self) -> int:
        """The number of small jobs that may wait, at the present estimate."""
        return 1 + math.floor(self._wait_s / self.interval_s)

    @property
    def wait_s(self) -> float:
        """The expected seconds until a new job begins."""
        return len(self._small) * self.interval_s

    @property
    def has_single_job(self) -> bool:
        """True if at most one job runs and none waits."""
        return self._running <= 1 and not self._small and not self._large

    @property
    def has_spare_core(self) -> bool:
        """True if no job waits, and fewer run than there are cores."""
        return self._running < self._cores and not self._small and not self._large

    @property
    def is_idle(self) -> bool:
        """True if no job runs or waits."""
        return not self._running and not self._small and not self._large

    def is_full(self) -> bool:
        """Return whether a request that arrives now is refused."""
        if not self._small:
            return False
        return self.wait_s > self._wait_s or self._standing.stands(self._clock())

    def refusal(self) -> QueueFull:
        """Return the error for a request that is refused."""
        wait_s = self.wait_s
        return QueueFull(
            f"{len(self._small)} images are waiting, which takes about {wait_s:.1f} s; "
            f"at most {self._wait_s:g} s are accepted. Try again later.",
            retry_after_s=self.retry_after_s,
        )

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until the queue is likely to be half as long as it may be, at least 1."""
        return max(1, math.ceil(self.wait_s - self._wait_s / 2))

    def check_room(self, jobs: int) -> None:
        """Check that there is time for `jobs` more, whose bodies have been read.

        Raises:
            QueueFull: there is not.
        """
        if not self._small:
            return
        wait_s = self.wait_s
        if wait_s > self._wait_s * _READ_MARGIN or self._standing.stands(self._clock()):
            raise self.refusal()
        done_s = wait_s + jobs * self.interval_s
        if jobs > 1 and done_s > self._deadline_s * _DEADLINE_SHARE:
            raise QueueFull(
                f"{len(self._small)} images are waiting. With {jobs} more it takes {done_s:.1f} s, "
                f"and responses are due in {self._deadline_s:g} s. "
                "Try again later, or with fewer at once.",
                retry_after_s=max(1, math.ceil(wait_s)),
            )

    def push(self, jobs: Sequence[Job]) -> None:
        """Append jobs to the small work."""
        if not self._small:
            self._standing.on_empty()
        for job in jobs:
            self._small[job.future] = job

    def discard(self, future: Future[Any]) -> bool:
        """Drop the job with this future and return True, if it waits."""
        return self._small.pop(future, None) is not None or self._large.discard(future)

    def may_begin(self, job: Job, work: Work) -> bool:
        """Return whether a running job may go on with `work`; take its memory if so.

        Raises:
            TooMuchMemory: the service never has so much memory.
        """
        self._memory.check_fits(work.memory_bytes, "Decoding the image", _ADVICE)
        if work.memory_bytes > LARGE_BYTES or self._expected_s(work) > LARGE_S:
            return False
        if not self._memory.try_take(work.memory_bytes):
            return False
        job.held_bytes = work.memory_bytes
        return True

    def give_back(self, job: Job) -> None:
        """Return the memory that a job holds."""
        if job.held_bytes:
            self._memory.give_back(job.held_bytes)
            job.held_bytes = 0

    def _expected_s(self, work: Work) -> float:
        return work.cost * self._cost_s.value

    def put_back(self, job: Job, work: Work) -> None:
        """Put a running job that may not go on into the lane of large work.

        Raises:
            QueueFull: that lane has no room.
            ClientGone: the job was cancelled in the meantime.
        """
        self._running -= 1
        check_wanted(job)
        job.work, job.expected_s = work, self._expected_s(work)
        try:
            self._large.add(job)
        except QueueFull:
            job.work = None
            raise

    def take(self) -> Job | None:
        """Return the next job, or None if no job can begin now.

        It counts as running from then on: pass it to `put_back` or `finish`.
        """
        job = None
        if not self._small or self._owed_s <= 0:
            job = self._large.take()
        if job is None and self._small:
            _, job = self._small.popitem(last=False)
        if job is not None:
            self._running += 1
        return job

    def begin(self, job: Job) -> QueueFull | None:
        """Record that a job that was taken begins; return an error if it is refused instead.

        Only the first job of a request counts: the others wait for one another.
        """
        if job.batch.has_begun:
            return None
        now = self._clock()
        waited_s = now - job.batch.enqueued_at
        if self._standing.is_late(waited_s, now):
            return self.refusal()
        job.batch.has_begun = True
        self._standing.on_begin(waited_s, now)
        if not self._small:
            self._standing.on_empty()
        return None

    def finish(self, job: Job, seconds: float | None) -> None:
        """Record that a job has ended, whether it succeeded or failed.

        Args:
            job: the job.
            seconds: the seconds that it ran; None if it was not begun.
        """
        if job.work is not None:
            self._large.finish(job)
        if seconds is not None:
            self._measure(job, seconds)
        self._running -= 1

    def _measure(self, job: Job, seconds: float) -> None:
        if job.work is not None:
            self._cost_s.observe(seconds / max(job.work.cost, 1.0))
            self._owed_s = _SMALL_PER_LARGE * seconds
            return
        self._owed_s -= seconds
        if self._running == self._threads:
            threads = max(1, self._threads - self._large.running)
            self._interval.observe(seconds / threads)
