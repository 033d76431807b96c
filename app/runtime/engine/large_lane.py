"""The lane of large work: it waits there for memory and a thread, while small work passes.

The order is by expected seconds plus the time of arrival: a job passes those that are longer by
more than the time that they came before it. So short work comes first, and none waits for ever.
The first in that order waits for memory alone; those behind it don't take the memory from it.

Nobody's large work fills the lane: it holds work for a limited time, and at most half of that from
one client. A job that finds the lane, or its client's part of it, empty is always accepted.
"""

from concurrent.futures import Future
from typing import Any

from app.errors import QueueFull
from app.memory_budget import MemoryBudget
from app.runtime.engine.job import Job

_CLIENT_SHARE = 0.5
"""The share of the lane, and of the running large work, that one client may take."""


def in_order(job: Job) -> float:
    """Return the key by which jobs are ordered."""
    return job.batch.enqueued_at + job.expected_s


class LargeLane:
    """The large work that waits, and what of it runs.

    Args:
        limit_s: seconds of work that may wait.
        threads: the most jobs that run at the same time.
        memory: the budget from which a job takes memory before it begins.
    """

    def __init__(self, limit_s: float, threads: int, memory: MemoryBudget) -> None:
        self._limit_s = limit_s
        self._threads = threads
        self._memory = memory
        self._waiting: dict[Future[Any], Job] = {}
        self._running: list[Job] = []

    def __len__(self) -> int:
        """The number of jobs that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """The number of jobs that run."""
        return len(self._running)

    def add(self, job: Job) -> None:
        """Put a job whose work is set into the lane.

        Raises:
            QueueFull: the lane, or its client's part of it, has no room.
        """
        present = [*self._waiting.values(), *self._running]
        own = [each for each in present if each.batch.client == job.batch.client]
        for jobs, limit_s, whose in (
            (own, _CLIENT_SHARE * self._limit_s, "of this client "),
            (present, self._limit_s, ""),
        ):
            seconds = sum(each.expected_s for each in jobs) / self._threads
            if seconds > limit_s and any(each.future in self._waiting for each in jobs):
                raise QueueFull(
                    f"{len(jobs)} large images {whose}are waiting or being decoded, which takes "
                    f"about {seconds:.1f} s. Try again later, or send smaller images.",
                    retry_after_s=max(1, round(seconds - limit_s)),
                )
        self._waiting[job.future] = job

    def discard(self, future: Future[Any]) -> bool:
        """Drop the job with this future and return True, if it waits."""
        return self._waiting.pop(future, None) is not None

    def take(self) -> Job | None:
        """Return the next job, with its memory taken, or None if no job can begin now."""
        if not self._waiting or len(self._running) >= self._threads:
            return None
        ready = [job for job in self._waiting.values() if not self._has_its_share(job.batch.client)]
        if not ready:
            return None
        job = min(ready, key=in_order)
        assert job.work is not None
        if not self._memory.try_take(job.work.memory_bytes):
            return None
        job.held_bytes = job.work.memory_bytes
        del self._waiting[job.future]
        self._running.append(job)
        return job

    def _has_its_share(self, client: str) -> bool:
        own = sum(job.batch.client == client for job in self._running)
        return own >= max(1, self._threads * _CLIENT_SHARE)

    def finish(self, job: Job) -> None:
        """Record that a job which was taken has ended."""
        self._running.remove(job)
