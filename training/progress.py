"""The progress of a long step on standard error, with the time left.

On a terminal it is a bar. Elsewhere, as in a log, a step of over half a minute writes a line every
half minute:

    embedding photos: 12000 of 50000, about 4 minutes left
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

R = TypeVar("R")
_EVERY_S = 30.0
_MINUTE_S = 60


def with_progress(items: Iterable[R], length: int, label: str) -> Iterator[R]:
    """Yield `items`, of which there are `length`, and show how many are done."""
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
