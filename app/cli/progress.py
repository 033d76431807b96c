"""The progress bar on standard error."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

T = TypeVar("T")


def with_progress_bar(
    items: Iterable[T], length: int, *, rows_on_stdout: bool = False
) -> Iterator[T]:
    """Yield `items`, with a progress bar on standard error if that is a terminal.

    Args:
        items: the items to count.
        length: the number of items.
        rows_on_stdout: whether rows are written to standard output at the same time; no bar is
            shown if that is a terminal.
    """
    hidden = not sys.stderr.isatty() or (rows_on_stdout and sys.stdout.isatty())
    with click.progressbar(
        items, length, label="photos", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar
