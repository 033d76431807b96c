"""Batching for a GPU: the images that queue while the device is busy run together.

run(image) -> wait -> the device is free:              run all waiting images, distribute the rows
                   -> another thread ran this image:   done

If a run of several images raises, each of them runs alone, so only those at fault get an error.

There is no timer. An idle device begins at once, and a busy one continues with the images that
queued meanwhile. The waiting threads are the engine's, so no batch is larger than their number.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Device

MAX_IMAGES = 32
"""The most images in one batch."""

Rows = Sequence[NDArray[np.float32]]
"""One image's row of each output."""


@dataclass(eq=False)
class _Waiting:
    image: NDArray[np.uint8]
    rows: Rows = ()
    error: BaseException | None = None
    is_done: bool = field(default=False)


def sizes(max_images: int = MAX_IMAGES) -> list[int]:
    """Return the batch sizes: 1, 2, 4, …, few because the device prepares for each shape once."""
    return [1 << power for power in range(max_images.bit_length()) if 1 << power <= max_images]


def threads_for(device: Device, cores: int, *, capped: bool) -> int:
    """Return the number of engine threads that keeps `device` busy.

    On a CPU this is one more than the cores, because one thread may wait for the interpreter. With
    a CPU quota (`capped`) it is the number of cores. On a GPU a thread is idle while its photo
    runs, so a whole batch of threads is added.
    """
    if device == "cpu":
        return cores if capped else cores + 1
    return cores + MAX_IMAGES


class Batches:
    """A runner of images in batches; many threads call `run`.

    Args:
        run: returns the outputs, each (N, ...), of images (N, H, W, 3) uint8; it is called by one
            thread at a time.
        max_images: the most in a batch.
    """

    def __init__(
        self, run: Callable[[NDArray[np.uint8]], Rows], max_images: int = MAX_IMAGES
    ) -> None:
        self._run = run
        self._sizes = sizes(max_images)
        self._waiting: list[_Waiting] = []
        self._is_busy = False
        self._changed = threading.Condition()
        self.runs_by_images: Counter[int] = Counter()
        """How many runs there were of each number of images, for the metrics."""

    def warm(self, image: NDArray[np.uint8]) -> None:
        """Run every batch size once with copies of `image` (H, W, 3): the first run is slow."""
        for size in self._sizes:
            self._run(np.stack([image] * size))

    def run(self, image: NDArray[np.uint8]) -> Rows:
        """Return each output's row of one image (H, W, 3) uint8.

        Raises:
            Exception: the run of this image alone failed, after that of its batch.
        """
        mine = _Waiting(image)
        with self._changed:
            self._waiting.append(mine)
        while (batch := self._next_batch(mine)) is not None:
            self._run_batch(batch)
        if mine.error is not None:
            raise mine.error
        return mine.rows

    def _next_batch(self, mine: _Waiting) -> list[_Waiting] | None:
        """Wait for a batch that this thread has to run; return None once `mine` is done."""
        with self._changed:
            self._changed.wait_for(lambda: mine.is_done or not self._is_busy)
            if mine.is_done:
                return None
            count = self._sizes[-1]
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            self._is_busy = True
            return batch

    def _run_batch(self, batch: list[_Waiting]) -> None:
        if not self._fill(batch) and len(batch) > 1:
            for waiting in batch:  # an error of a run names no image
                self._fill([waiting])
        with self._changed:
            self._is_busy = False
            for waiting in batch:
                waiting.is_done = True
            self._changed.notify_all()

    def _fill(self, batch: list[_Waiting]) -> bool:
        """Run `batch`, and give each image its rows or the error; return whether it ran."""
        try:
            size = next(size for size in self._sizes if size >= len(batch))
            self.runs_by_images[len(batch)] += 1
            images = [waiting.image for waiting in batch]
            images += images[-1:] * (size - len(batch))
            outputs = self._run(np.stack(images))
            for number, waiting in enumerate(batch):
                waiting.rows = [output[number] for output in outputs]
                waiting.error = None
        except BaseException as err:  # every waiting thread must get a result or an error
            for waiting in batch:
                waiting.error = err
            return False
        return True
