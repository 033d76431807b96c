"""The threads that run jobs, and the lock around their queue."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from threadpoolctl import threadpool_limits

from app.errors import ClientGone, DeadlinePassed, HubelError, QueueFull
from app.memory_budget import MemoryBudget
from app.runtime.engine.job import (
    Batch,
    EngineTurn,
    Job,
    JobFuture,
    PutBack,
    Turn,
    check_wanted,
)
from app.runtime.engine.work_queue import WorkQueue
from app.thread_priority import go_behind_event_loop
from app.vision import Work

log = logging.getLogger(__name__)

T = TypeVar("T")

_UNLIMITED_BYTES = 1 << 62


class Engine:
    """A pool of threads with a queue; a context manager that starts and ends the threads.

    Args:
        threads: number of jobs that run at the same time.
        deadline_s: seconds after which a result is of no use.
        cores: number of cores that the threads share; None: one for each.
        wait_s: seconds that a request may be expected to wait; None: as the deadline allows.
        service_s: expected seconds of one job on one core.
        memory: the memory for decoding; None: unlimited.
        behind_event_loop: whether the threads have a lower priority than the process's event loop.
    """

    def __init__(
        self,
        *,
        threads: int,
        deadline_s: float,
        cores: int | None = None,
        wait_s: float | None = None,
        service_s: float = 0.02,
        memory: MemoryBudget | None = None,
        behind_event_loop: bool = False,
    ) -> None:
        self.threads = threads
        self._behind_event_loop = behind_event_loop
        self.deadline_s = deadline_s
        self._queue = WorkQueue(
            threads=threads,
            cores=cores or threads,
            wait_s=deadline_s if wait_s is None else wait_s,
            deadline_s=deadline_s,
            service_s=service_s,
            memory=memory or MemoryBudget(_UNLIMITED_BYTES),
        )
        if memory is not None:
            memory.on_room(self._on_room)
        self._lock = threading.Lock()
        self._has_work = [threading.Condition(self._lock) for _ in range(threads)]
        self._idle: list[threading.Condition] = []
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._run_jobs, args=(has_work,), name=f"engine-{i}", daemon=True
            )
            for i, has_work in enumerate(self._has_work)
        ]

    def __enter__(self) -> Self:
        """Start the threads, and stop BLAS from starting its own, which would compete with them."""
        self._blas = threadpool_limits(1, user_api="blas")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the queued jobs, then end the threads; a job that hangs is abandoned."""
        with self._lock:
            self._closed = True
            for has_work in self._has_work:  # not `_wake`: Ctrl-C in it leaves a thread asleep
                has_work.notify()
        until = time.monotonic() + self.deadline_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                log.error("%s does not end; the process ends without it", thread.name)
        self._blas.restore_original_limits()

    @property
    def depth(self) -> int:
        """The number of waiting jobs."""
        return self._queue.depth

    @property
    def large_depth(self) -> int:
        """The number of waiting jobs that are large."""
        return self._queue.large_depth

    @property
    def capacity(self) -> int:
        """The number of small jobs that may wait, at the present estimate."""
        return self._queue.capacity

    @property
    def wait_s(self) -> float:
        """The expected seconds until a new job begins."""
        return self._queue.wait_s

    @property
    def has_single_job(self) -> bool:
        """True if at most one job runs and none waits. That job may then use all cores."""
        return self._queue.has_single_job

    @property
    def has_spare_core(self) -> bool:
        """True if no job waits, and fewer run than there are cores."""
        return self._queue.has_spare_core

    @property
    def is_idle(self) -> bool:
        """True if no job runs or waits."""
        return self._queue.is_idle

    def expect(self, service_s: float) -> None:
        """Set the expected seconds of one job on one core."""
        with self._lock:
            self._queue.expect(service_s)

    def is_full(self) -> bool:
        """Return whether a request that arrives now is refused."""
        return self._queue.is_full()

    def refusal(self) -> QueueFull:
        """Return the error for a request that is refused now."""
        return self._queue.refusal()

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which a refused request is likely to be accepted, at least 1."""
        return self._queue.retry_after_s

    def check_room(self) -> None:
        """Check that a request that arrives now is accepted.

        Raises:
            QueueFull: it is not.
        """
        if self._queue.is_full():
            raise self._queue.refusal()

    def submit(
        self, *jobs: Callable[[Turn], T], deadline: float | None = None, client: str = ""
    ) -> Sequence[Future[T]]:
        """Queue all `jobs` or none.

        Cancelling the future of a waiting job removes the job from the queue. Cancelling that of a
        running job ends it before its next stage.

        Args:
            jobs: functions of their turn on a thread.
            deadline: time.monotonic() after which results are of no use; None: from now on,
                `deadline_s`.
            client: who sent the request; it bounds the large work of one client.

        Raises:
            QueueFull: the queue has no room for them now.
            DeadlinePassed: the deadline has passed already.
        """
        now = time.monotonic()
        if deadline is None:
            deadline = now + self.deadline_s
        elif now > deadline:
            raise DeadlinePassed(self._too_late(now - deadline + self.deadline_s))
        batch = Batch(now, deadline, client)
        batch_jobs = [Job(job, batch, JobFuture(self._abandon)) for job in jobs]
        with self._lock:
            self._queue.check_room(len(jobs))
            self._queue.push(batch_jobs)
            self._wake(len(jobs))
        for job in batch_jobs:
            job.future.add_done_callback(self._discard_if_cancelled)
        return [job.future for job in batch_jobs]

    def _on_room(self) -> None:
        """Let work that waits for memory try again."""
        if self._queue.large_depth:
            with self._lock:
                self._wake(1)

    def _too_late(self, seconds: float) -> str:
        return (
            f"The request came {seconds:.1f} s ago; responses are due in {self.deadline_s:g} s. "
            "Try again later."
        )

    def _discard_if_cancelled(self, future: Future[Any]) -> None:
        if future.cancelled():
            with self._lock:
                self._queue.discard(future)

    def _abandon(self, future: JobFuture) -> None:
        """Drop large work that waits for its turn; work that runs ends before its next stage."""
        with self._lock:
            waited = self._queue.discard(future)
        if waited:
            future.set_exception(ClientGone("The client left before its response was ready."))

    def _wake(self, threads: int) -> None:
        """Wake the most recently idle threads: their cores' caches are warm."""
        for _ in range(min(threads, len(self._idle))):
            self._idle.pop().notify()

    def _run_jobs(self, has_work: threading.Condition) -> None:
        if self._behind_event_loop:
            go_behind_event_loop()
        while True:
            with self._lock:
                while (job := self._queue.take()) is None:
                    if self._closed and not self._queue.depth:
                        return
                    self._idle.append(has_work)
                    has_work.wait()
                refusal = self._queue.begin(job)
            self._run(job, refusal)
            del job  # an idle thread must not keep a photo in memory

    def _run(self, job: Job, refusal: QueueFull | None) -> None:
        future = job.future
        if job.work is None and not future.set_running_or_notify_cancel():
            self._finish(job, None)
            return
        try:
            if refusal is not None:
                raise refusal
            check_wanted(job)
        except HubelError as err:
            self._finish(job, None)
            future.set_exception(err.with_traceback(None))  # its frames would keep the photo
            return
        began = time.monotonic()
        queue_s = began - job.batch.enqueued_at
        turn = EngineTurn(job, queue_s, self._queue.may_begin, self._is_alone)
        try:
            result = job.run(turn)
        except PutBack as signal:
            work = signal.work
        except BaseException as err:  # every job must finish its future
            self._finish(job, time.monotonic() - began)
            future.set_exception(err)
            # The traceback refers to this frame and those below it: a cycle would keep the photo.
            turn.end()
            del job, future
            return
        else:
            self._finish(job, time.monotonic() - began)
            future.set_result(result)
            return
        # Not in the handler: an error that is raised there would keep the signal, and it the photo.
        self._put_back(job, work)

    def _is_alone(self) -> bool:
        return self._queue.has_single_job

    def _finish(self, job: Job, seconds: float | None) -> None:
        self._queue.give_back(job)  # without the lock: it lets waiting work try again
        with self._lock:
            self._queue.finish(job, seconds)
            if self._queue.large_depth:
                self._wake(1)

    def _put_back(self, job: Job, work: Work) -> None:
        try:
            with self._lock:
                self._queue.put_back(job, work)
        except HubelError as err:
            job.future.set_exception(err.with_traceback(None))  # its frames would keep the photo
