"""The engine: about one thread per core, and a queue that the threads can work off in time.

    submit(work) -> QueueFull, at once
                 -> waits -> its future was cancelled: dropped
                          -> its deadline passed: DeadlinePassed
                          -> runs on one of the threads -> its future

Decoding, resizing and ONNX Runtime's run release the GIL, so threads are enough. All work on an
image runs on these threads.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from threadpoolctl import threadpool_limits

from app.errors import DeadlinePassed, QueueFull, TooManyFiles

log = logging.getLogger(__name__)

T = TypeVar("T")

_QUEUED_SHARE = 0.8
"""Share of the deadline that a job may wait; the rest is for its work and the response."""
_SMOOTHING = 0.05
"""Weight of the newest job in the moving average of the service time."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[float], Any]
    enqueued_at: float


class Engine:
    """A pool of threads with a bounded queue; a context manager that starts and ends the threads.

    Args:
        threads: number of jobs that run at the same time.
        deadline_s: seconds after which a result is of no use.
        service_s: expected seconds of one job, until enough are measured.
    """

    def __init__(self, *, threads: int, deadline_s: float, service_s: float = 0.02) -> None:
        self.threads = threads
        self.deadline_s = deadline_s
        self.service_s = service_s
        self._queue: OrderedDict[Future[Any], _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._idle: list[threading.Condition] = []
        self._closed = False
        self._running = 0
        self._threads = [
            threading.Thread(target=self._run_jobs, name=f"engine-{i}", daemon=True)
            for i in range(threads)
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
            self._wake(len(self._idle))
        until = time.monotonic() + self.deadline_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                log.error("%s does not end; the process ends without it", thread.name)
        self._blas.restore_original_limits()

    @property
    def depth(self) -> int:
        """The number of waiting jobs."""
        return len(self._queue)

    @property
    def has_single_job(self) -> bool:
        """True if at most one job runs and none waits. That job may then use all cores."""
        return self._running <= 1 and not self._queue

    @property
    def capacity(self) -> int:
        """The number of jobs that may wait: as many as the threads finish in time, as measured."""
        jobs_in_time = self.deadline_s * _QUEUED_SHARE * self.threads / self.service_s
        return max(self.threads, math.floor(jobs_in_time))

    def check_room(self, jobs: int = 1) -> None:
        """Check that the queue has room for `jobs` more; otherwise raise as `submit` does.

        Raises:
            QueueFull: the queue has no room for them now.
            TooManyFiles: there are more of them than the queue can ever hold.
        """
        depth, capacity = self.depth, self.capacity
        if jobs > capacity:
            raise TooManyFiles(
                f"{jobs} images take longer than {self.deadline_s:g} s; "
                f"at most {capacity} fit within that time. Send fewer at once."
            )
        if depth + jobs > capacity:
            wait_s = depth / 2 * self.service_s / self.threads  # until half of them are done
            raise QueueFull(
                f"{depth} images are waiting and {capacity} can be done in time. "
                "Try again later, or with fewer at once.",
                retry_after_s=max(1, math.ceil(wait_s)),
            )

    def submit(self, *jobs: Callable[[float], T]) -> Sequence[Future[T]]:
        """Queue all `jobs` or none. Each is called with the seconds that it waited.

        Cancelling the future of a waiting job removes the job from the queue.

        Raises:
            QueueFull: the queue has no room for them now.
            TooManyFiles: there are more of them than the queue can ever hold.
        """
        now = time.monotonic()
        futures: list[Future[T]] = [Future() for _ in jobs]
        with self._lock:
            self.check_room(len(jobs))
            for future, work in zip(futures, jobs, strict=True):
                self._queue[future] = _Job(work, now)
            self._wake(len(jobs))
        for future in futures:
            future.add_done_callback(self._drop_if_cancelled)
        return futures

    def _drop_if_cancelled(self, future: Future[Any]) -> None:
        if future.cancelled():
            with self._lock:
                self._queue.pop(future, None)

    def _wake(self, threads: int) -> None:
        """Wake the most recently idle threads: their cores' caches are warm."""
        for _ in range(min(threads, len(self._idle))):
            self._idle.pop().notify()

    def _run_jobs(self) -> None:
        has_work = threading.Condition(self._lock)
        while True:
            with self._lock:
                while not self._queue and not self._closed:
                    self._idle.append(has_work)
                    has_work.wait()
                if not self._queue:
                    return
                future, job = self._queue.popitem(last=False)
                self._running += 1
            if future.set_running_or_notify_cancel():
                self._run(future, job)
            del future, job  # an idle thread must not keep a photo in memory
            with self._lock:
                self._running -= 1

    def _run(self, future: Future[Any], job: _Job) -> None:
        began = time.monotonic()
        queue_s = began - job.enqueued_at
        if queue_s > self.deadline_s:
            future.set_exception(
                DeadlinePassed(
                    f"The image waited {queue_s:.1f} s; "
                    f"responses are due in {self.deadline_s:g} s. Try again later."
                )
            )
            return
        try:
            result = job.work(queue_s)
        except BaseException as err:  # every job must finish its future
            future.set_exception(err)
            del future, job  # the traceback refers to this frame: a cycle would keep the photo
        else:
            future.set_result(result)
            # failed jobs are not counted: they take less time than photos
            self.service_s += _SMOOTHING * (time.monotonic() - began - self.service_s)
