"""Run a function for many items on all cores, with a progress bar on standard error.

Decoding and ONNX Runtime release the GIL, so threads are enough. If the loop ends early, by an
error or Ctrl-C, work that has not begun is dropped.
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


def map_in_order(function: Callable[[T], R], items: Sequence[T], label: str) -> Iterator[R]:
    """Yield `function` of each item, in order; `label` stands before the progress bar."""
    pool = ThreadPoolExecutor(available_cores())
    try:
        # BLAS would start a thread per core in each of the pool's threads.
        with threadpool_limits(1, user_api="blas"):
            yield from _with_bar(pool.map(function, items), len(items), label)
    finally:
        pool.shutdown(cancel_futures=True)


def run_graph(
    session: Session,
    names: Sequence[str],
    pixels: NDArray[np.uint8],
    rows: Sequence[int],
    label: str,
) -> tuple[NDArray[np.float32], ...]:
    """Return the graph's outputs `names` for `rows` of `pixels`, each (len(rows), ...) float32.

    Images (S, S, 3) uint8 RGB run one at a time, as they do in the service.
    """

    def run_row(row: int) -> list[NDArray[np.float32]]:
        return session.outputs_of(names, pixels[row : row + 1])

    by_row = list(map_in_order(run_row, rows, label))
    return tuple(np.concatenate(output) for output in zip(*by_row, strict=True))


def _with_bar(items: Iterable[R], length: int, label: str) -> Iterator[R]:
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        items, length, label=f"{label:<18}", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar
