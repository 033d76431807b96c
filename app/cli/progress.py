"""A progress bar on standard error."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

T = TypeVar("T")


def with_progress_bar(items: Iterable[T], length: int, *, beside_rows: bool = False) -> Iterator[T]:
    """Yield `items`, with a progress bar on standard error where that is a terminal.

    Args:
        items: the items to count.
        length: how many there are.
        beside_rows: rows are printed meanwhile; no bar is shown where they go to the same terminal.
    """
    hidden = not sys.stderr.isatty() or (beside_rows and sys.stdout.isatty())
    with click.progressbar(
        items, length, label="photos", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar
