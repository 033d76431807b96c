"""A job of the engine: what it is, which request it belongs to, and its turn on a thread.

A job is a function that receives its `Turn`. It reads the header of its image, calls `Turn.begin`
with the expected work, and calls `Turn.check` between its stages.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from app.errors import ClientGone, DeadlinePassed
from app.vision import Work


class JobFuture(Future[Any]):
    """The future of a job; cancelling a job that has begun ends it before its next stage.

    Args:
        on_abandoned: called when somebody cancels the job after it has begun.
    """

    def __init__(self, on_abandoned: Callable[["JobFuture"], None]) -> None:
        super().__init__()
        self._on_abandoned = on_abandoned
        self.abandoned = False
        """True once somebody has cancelled the job after it had begun."""

    def cancel(self) -> bool:
        """Cancel a job that has not begun and return True; otherwise record that it is unwanted."""
        if super().cancel():
            return True
        if not self.done():
            self.abandoned = True
            self._on_abandoned(self)
        return False


@dataclass(slots=True, eq=False)
class Batch:
    """The jobs of one request."""

    enqueued_at: float
    """time.monotonic()"""
    deadline: float
    """time.monotonic() after which a result is of no use."""
    client: str
    """The client that sent the request; see `LargeLane`."""
    has_begun: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """One job."""

    run: Callable[["Turn"], Any]
    batch: Batch
    future: JobFuture
    work: Work | None = None
    """Set once the job has been put back: it is large, or there was no memory for it."""
    expected_s: float = 0.0
    """The expected seconds of `work`."""
    held_bytes: int = 0
    """The memory that it has taken."""


def check_wanted(job: Job) -> None:
    """Check that somebody waits for the result of `job`.

    Raises:
        DeadlinePassed: the result would come too late.
        ClientGone: the job was cancelled.
    """
    if job.future.abandoned:
        raise ClientGone("The client left before its response was ready.")
    if (late_s := time.monotonic() - job.batch.deadline) > 0:
        raise DeadlinePassed(
            f"The response is {late_s:.1f} s late and was not finished. Try again later."
        )


class Turn:
    """A job's turn on a thread. This class is the turn of work that runs outside an engine."""

    queue_s = 0.0
    """Seconds that the job has waited."""

    def begin(self, work: Work) -> None:
        """Begin work whose size is known now; call it once, before decoding.

        It returns for small work if there is memory for it, and for large work that has memory and
        a thread. Otherwise it raises an exception that the engine handles, and the job runs again
        from its start.

        Raises:
            TooMuchMemory: the service never has so much memory.
        """

    def check(self, stage: str | None = None) -> None:
        """Check, between two stages, that a client still waits for the result.

        Args:
            stage: the stage that begins now, if one does: `decode`, `resize` or `run`.

        Raises:
            DeadlinePassed: the result would come too late.
            ClientGone: the job was cancelled.
        """

    def is_alone(self) -> bool:
        """Return whether no other job runs or waits. This job may then use all cores."""
        return False


NO_ENGINE = Turn()
"""The turn of work that runs outside an engine."""


class PutBack(Exception):
    """The signal that a job has to wait for its turn in the lane of large work."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work


class EngineTurn(Turn):
    """A job's turn on a thread of the engine.

    Args:
        job: the job.
        queue_s: seconds that it has waited.
        may_begin: returns whether the job may go on with its work; it then holds its memory.
        is_alone: see `Turn.is_alone`.
    """

    __slots__ = ("_is_alone", "_job", "_may_begin", "queue_s")

    def __init__(
        self,
        job: Job,
        queue_s: float,
        may_begin: Callable[[Job, Work], bool],
        is_alone: Callable[[], bool],
    ) -> None:
        self._job = job
        self.queue_s = queue_s
        self._may_begin = may_begin
        self._is_alone = is_alone

    def begin(self, work: Work) -> None:
        """Return, or raise `PutBack` if the work has to wait in the lane of large work."""
        if self._job.work is None and not self._may_begin(self._job, work):
            raise PutBack(work)

    def end(self) -> None:
        """Drop the reference to the job; the turn is not used any more."""
        del self._job

    def check(self, stage: str | None = None) -> None:
        """Raise DeadlinePassed or ClientGone if nobody waits for the result."""
        check_wanted(self._job)

    def is_alone(self) -> bool:
        """Return whether no other job runs or waits."""
        return self._is_alone()
