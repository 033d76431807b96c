"""The engine: about a thread a core, and a queue no longer than they can do in time.

    submit(work) -> QueueFull, at once
                 -> waits -> its client left: dropped, undone
                          -> its deadline passed: DeadlinePassed
                          -> runs on one of the threads -> its future

Decoding, resizing and ONNX Runtime's run release the GIL, so threads are enough. Everything
about an image happens in such work, on these threads, and nowhere else.
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
"""Share of the deadline that waiting may take; the rest is for the work and the way back."""
_SMOOTHING = 0.05
"""Weight of the newest piece of work in the mean service time."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[float], Any]
    enqueued_at: float


class Engine:
    """Runs work on its own threads; a context manager that ends them.

    Args:
        threads: how many pieces of work run at the same time.
        deadline_s: seconds after which an answer is of no use.
        service_s: expected seconds of one piece of work, until enough have been measured.
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
            threading.Thread(target=self._serve, name=f"engine-{i}", daemon=True)
            for i in range(threads)
        ]

    def __enter__(self) -> Self:
        """Start the threads; BLAS gets none beside them, which would wait for one another."""
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
        """Finish what is queued, then end the threads; work that hangs is left behind."""
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
        """Pieces of work that are waiting."""
        return len(self._queue)

    @property
    def is_alone(self) -> bool:
        """Whether one piece of work is running and none waits: the other cores are idle then."""
        return self._running <= 1 and not self._queue

    @property
    def capacity(self) -> int:
        """How many may wait: what the threads get done in time, at the measured service time."""
        in_time = self.deadline_s * _QUEUED_SHARE * self.threads / self.service_s
        return max(self.threads, math.floor(in_time))

    def check_room(self, pieces: int = 1) -> None:
        """Refuse now what `submit` would refuse.

        Raises:
            QueueFull: `pieces` more don't fit.
            TooManyFiles: so many never fit.
        """
        depth, capacity = self.depth, self.capacity
        if pieces > capacity:
            raise TooManyFiles(
                f"{pieces} images take longer than {self.deadline_s:g} s; {capacity} can be done. "
                "Send fewer at once."
            )
        if depth + pieces > capacity:
            wait_s = depth / 2 * self.service_s / self.threads
            raise QueueFull(
                f"{depth} images are waiting and {capacity} can be done in time. "
                "Try again later, or with fewer at once.",
                retry_after_s=max(1, math.ceil(wait_s)),
            )

    def submit(self, *works: Callable[[float], T]) -> Sequence[Future[T]]:
        """Queue all of `works`, or none. Each is called with the seconds that it waited.

        Cancelling a future whose work still waits takes it out of the queue.

        Raises:
            QueueFull: they don't fit.
            TooManyFiles: so many never fit.
        """
        now = time.monotonic()
        futures: list[Future[T]] = [Future() for _ in works]
        with self._lock:
            self.check_room(len(works))
            for future, work in zip(futures, works, strict=True):
                self._queue[future] = _Job(work, now)
            self._wake(len(works))
        for future in futures:
            future.add_done_callback(self._forget)
        return futures

    def _forget(self, future: Future[Any]) -> None:
        if future.cancelled():
            with self._lock:
                self._queue.pop(future, None)

    def _wake(self, threads: int) -> None:
        """Whoever fell idle last goes first: its core still knows what a photo needs."""
        for _ in range(min(threads, len(self._idle))):
            self._idle.pop().notify()

    def _serve(self) -> None:
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
                self._do(future, job)
            del future, job  # an idle thread holds on to no photo
            with self._lock:
                self._running -= 1

    def _do(self, future: Future[Any], job: _Job) -> None:
        began = time.monotonic()
        queue_s = began - job.enqueued_at
        if queue_s > self.deadline_s:
            future.set_exception(
                DeadlinePassed(
                    f"The image waited {queue_s:.1f} s; answers are due in {self.deadline_s:g} s. "
                    "Try again later."
                )
            )
            return
        try:
            result = job.work(queue_s)
        except BaseException as err:  # every piece of work gets its answer
            future.set_exception(err)
            del future, job  # the traceback holds this frame: a cycle would keep the photo
        else:
            future.set_result(result)
            # what fails at once says nothing of how long photos take
            self.service_s += _SMOOTHING * (time.monotonic() - began - self.service_s)
