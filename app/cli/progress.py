"""The progress bar on standard error."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

T = TypeVar("T")


def with_progress_bar(items: Iterable[T], length: int) -> Iterator[T]:
    """Yield `items`, with a progress bar on standard error if that is a terminal.

    Args:
        items: the items to count.
        length: the number of items.
    """
    with click.progressbar(
        items,
        length,
        label="photos",
        show_pos=True,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        yield from bar


@contextmanager
def photo_progress(
    length: int | None, done: int = 0, *, rows_on_stdout: bool = False
) -> Generator[Callable[[], None], None, None]:
    """Yield a function to call after each photo, which moves a bar on standard error.

    Args:
        length: the number of photos; None: not known.
        done: how many were done before.
        rows_on_stdout: whether rows are written to standard output at the same time; no bar is
            shown if that is a terminal.
    """
    hidden = not sys.stderr.isatty() or (rows_on_stdout and sys.stdout.isatty())
    nothing = (None for _ in ())  # its length isn't known, so that the bar only counts
    with click.progressbar(
        None if length is not None else nothing,
        length,
        label="photos",
        show_pos=True,
        file=sys.stderr,
        hidden=hidden,
        update_min_steps=1 if length is None else max(1, length // 1000),
    ) as bar:
        bar.update(done)
        yield lambda: bar.update(1)
