"""The progress of a long step on standard error, with the time left.

On a terminal it is a bar. Elsewhere, as in a log, a step of over half a minute writes a line every
half minute:

    embedding photos: 12000 of 50000, about 4 minutes left

A program that follows the run gets every step by `reporting_steps` instead.
"""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import click

R = TypeVar("R")
_EVERY_S = 30.0
_MINUTE_S = 60
_REPORT_EVERY_S = 0.25

ReportStep = Callable[[str, int, int, float | None], None]
"""Called with the name of a step, what is done, the total, and the seconds left, if known."""
_report: ContextVar[ReportStep | None] = ContextVar("report_step", default=None)


@contextmanager
def reporting_steps(report: ReportStep) -> Generator[None, None, None]:
    """Call `report` a few times a second with the progress of each step in the block."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


class StepReport:
    """Reports the progress of one step, if the run is followed.

    Args:
        label: the name of the step.
        total: the number of items.
    """

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._report = _report.get()
        self._began = self._reported = time.monotonic()
        self._done_before: int | None = None
        """What was done when the step began, by an interrupted run."""

    @property
    def is_followed(self) -> bool:
        """Whether the run is followed."""
        return self._report is not None

    def update(self, done: int) -> None:
        """Report that `done` items are done, unless the last report was just now."""
        if self._report is None:
            return
        now = time.monotonic()
        is_first = self._done_before is None
        if self._done_before is None:
            self._done_before = done
        if is_first or done == self._total or now - self._reported >= _REPORT_EVERY_S:
            self._reported = now
            own = done - self._done_before
            left = (now - self._began) / own * (self._total - done) if own else None
            self._report(self._label, done, self._total, left)


def with_progress(items: Iterable[R], length: int, label: str) -> Iterator[R]:
    """Yield `items`, of which there are `length`, and show how many are done."""
    report = StepReport(label, length)
    if report.is_followed:
        report.update(0)
        for done, item in enumerate(items, 1):
            yield item
            report.update(done)
        return
    if not sys.stderr.isatty():
        yield from _with_lines(items, length, label)
        return
    with click.progressbar(
        items, length, label=f"{label:<18}", show_pos=True, file=sys.stderr
    ) as bar:
        yield from bar


def time_left(done: int, length: int, seconds: float) -> str:
    """Return the time that the rest takes, if `done` of `length` items took `seconds`."""
    left = seconds / done * (length - done)
    if left < _MINUTE_S:
        return "less than a minute left"
    minutes = round(left / _MINUTE_S)
    return f"about {minutes} minute{'' if minutes == 1 else 's'} left"


def _with_lines(items: Iterable[R], length: int, label: str) -> Iterator[R]:
    began = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= _EVERY_S and done < length:
            shown = now
            left = time_left(done, length, now - began)
            click.echo(f"{label}: {done} of {length}, {left}", err=True)
