"""The stages of one photo, timed on the engine's thread that carries them out.

turn.begin, turn.check(stage) -> the times at which stages begin and end -> a span for each

The spans are made once the job has ended, so that they take no time between its stages, and a job
that is put back to wait for memory leaves none.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode, Tracer

from app.errors import HubelError
from app.runtime.engine import Turn
from app.runtime.engine.job import PutBack
from app.vision import Work

Job = Callable[[Turn], Any]

QUEUE = "queue"
IMAGE = "hubel.image"
"""The attribute of a stage's span with the image's place in its request, from 0."""
ERROR = "error.type"


class TracedTurn(Turn):
    """A turn that notes when stages begin.

    Args:
        turn: the turn of the engine.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.queue_s = turn.queue_s
        self.stages: list[tuple[str, int]] = [("decode", time.time_ns())]
        """The stages so far, with time.time_ns() at their start."""

    def begin(self, work: Work) -> None:
        """Begin work whose size is known now."""
        self._turn.begin(work)

    def check(self, stage: str | None = None) -> None:
        """Note that `stage` begins, if a client still waits for the result."""
        self._turn.check()
        if stage is not None:
            self.stages.append((stage, time.time_ns()))

    def is_alone(self) -> bool:
        """Return whether no other job runs or waits."""
        return self._turn.is_alone()


class TracedJob:
    """A job of the engine whose stages become spans.

    Args:
        job: the job.
        tracer: makes the spans.
        context: the context of the request's span, which is also the thread's during the job.
        image: the image's place in the request.
    """

    def __init__(self, job: Job, tracer: Tracer, context: Context, image: int) -> None:
        self._job = job
        self._tracer = tracer
        self._context = context
        self._image = image
        self._queued_ns = time.time_ns()
        self._has_begun = False

    def __call__(self, turn: Turn) -> Any:
        """Run the job."""
        self._has_begun = True
        traced = TracedTurn(turn)
        error: BaseException | None = None
        token = contexts.attach(self._context)
        try:
            return self._job(traced)
        except PutBack:
            self._has_begun = False
            traced.stages.clear()
            raise
        except BaseException as err:
            error = err
            raise
        finally:
            contexts.detach(token)
            if traced.stages:
                self._make_spans(traced.stages, error)
            del error  # its traceback refers to this frame: a cycle would keep the photo

    def end(self) -> None:
        """Make the span of a job that waits while its request ends; a running one makes its own."""
        if not self._has_begun:
            self._span(QUEUE, self._queued_ns, time.time_ns(), "not_begun")

    def _make_spans(self, stages: list[tuple[str, int]], error: BaseException | None) -> None:
        ended = time.time_ns()
        self._span(QUEUE, self._queued_ns, stages[0][1])
        ends = [began for _, began in stages[1:]]
        for (stage, began), end in zip(stages, [*ends, ended], strict=True):
            is_last = end is ended
            self._span(stage, began, end, error_type(error) if error and is_last else None)

    def _span(self, stage: str, began: int, ended: int, error: str | None = None) -> None:
        attributes: dict[str, str | int] = {
            IMAGE: self._image,
            "thread.name": threading.current_thread().name,
        }
        span = self._tracer.start_span(
            stage, self._context, attributes=attributes, start_time=began
        )
        if error is not None:
            span.set_attribute(ERROR, error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)


def error_type(error: BaseException) -> str:
    """Return the code of an expected error, or the class of another."""
    return error.code if isinstance(error, HubelError) else type(error).__qualname__
