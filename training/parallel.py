"""Run a function for many items on all cores, with progress on standard error.

Decoding and ONNX Runtime release the GIL, so threads are enough. Only a few items more than threads
are begun before their results are taken, so the memory doesn't grow with the number of items. If
the loop ends early, by an error or Ctrl-C, work that has not begun is dropped.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.runtime.host import available_cores
from app.runtime.session import Session
from training.mapped_pixels import release
from training.progress import with_progress

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 64
"""Items that are begun before the results of earlier ones are taken, for each thread."""
_RELEASE_EVERY = 500
"""Photos after which the pages of their pixels are given back."""


def map_in_order(function: Callable[[T], R], items: Sequence[T], label: str) -> Iterator[R]:
    """Yield `function` of each item, in order; `label` names the progress."""
    threads = available_cores()
    pool = ThreadPoolExecutor(threads)
    try:
        # BLAS would start a thread per core in each of the pool's threads.
        with threadpool_limits(1, user_api="blas"):
            results = _results(pool, function, iter(items), _AHEAD * threads)
            yield from with_progress(results, len(items), label)
    finally:
        pool.shutdown(cancel_futures=True)


def run_graph(
    session: Session,
    names: Sequence[str],
    pixels: NDArray[np.uint8],
    rows: Sequence[int],
    label: str,
    *,
    mirrored: bool = False,
) -> tuple[NDArray[np.float32], ...]:
    """Return the graph's outputs `names` for `rows` of `pixels`, each (len(rows), ...) float32.

    Images (S, S, 3) uint8 RGB run one at a time, as they do in the service; `mirrored` exchanges
    left and right.
    """

    def run_row(row: int) -> list[NDArray[np.float32]]:
        image = pixels[row : row + 1]
        return session.outputs_of(names, image[:, :, ::-1].copy() if mirrored else image)

    outputs: tuple[NDArray[np.float32], ...] = ()
    for index, result in enumerate(map_in_order(run_row, rows, label)):
        if not outputs:
            outputs = tuple(np.empty((len(rows), *o.shape[1:]), o.dtype) for o in result)
        for output, of_row in zip(outputs, result, strict=True):
            output[index] = of_row[0]
        if index % _RELEASE_EVERY == 0:
            release(pixels)
    return outputs


def _results(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterator[T], most: int
) -> Iterator[R]:
    """Yield the results in order, with at most `most` items begun."""
    begun: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(items, most))
    while begun:
        result = begun.popleft().result()
        begun.extend(pool.submit(function, item) for item in islice(items, 1))
        yield result
