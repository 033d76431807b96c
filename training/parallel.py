"""The same work for many photos, on all cores, with a bar on standard error.

Decoding and ONNX Runtime release the GIL, so threads are enough. Whatever ends the loop early, an
error or Ctrl-C, drops the work that hasn't begun.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import click
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.runtime.host import available_cores
from app.runtime.session import Session

T = TypeVar("T")
R = TypeVar("R")


def map_in_order(work: Callable[[T], R], items: Sequence[T], label: str) -> Iterator[R]:
    """`work` of each item, in order; `label` stands before the bar."""
    pool = ThreadPoolExecutor(available_cores())
    try:
        with threadpool_limits(1, user_api="blas"):  # which would have a thread for each core, too
            yield from _with_bar(pool.map(work, items), len(items), label)
    finally:
        pool.shutdown(cancel_futures=True)


def run_graph(
    session: Session,
    names: Sequence[str],
    pixels: NDArray[np.uint8],
    rows: Sequence[int],
    label: str,
) -> tuple[NDArray[np.float32], ...]:
    """The graph's outputs `names`, each (len(rows), ...) float32, of those rows of `pixels`.

    Images (S, S, 3) uint8 RGB run one at a time, as they do when served.
    """

    def run(row: int) -> list[NDArray[np.float32]]:
        return session.outputs_of(names, pixels[row : row + 1])

    given = list(map_in_order(run, rows, label))
    return tuple(np.concatenate(column) for column in zip(*given, strict=True))


def _with_bar(items: Iterable[R], length: int, label: str) -> Iterator[R]:
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        items, length, label=f"{label:<18}", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar
