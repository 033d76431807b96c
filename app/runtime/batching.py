"""Photos share a device that is faster with many: what queued while it was busy goes in one batch.

run(image) -> wait -> the device is free:   take what waits, run it, hand out the rows
                   -> somebody had my row:  done

There is no timer: an idle device begins at once, a busy one finds its next batch waiting. The
threads that wait are the engine's, so no batch is larger than their number.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Device

MAX_IMAGES = 32
"""Of a batch."""

Rows = Sequence[NDArray[np.float32]]
"""Of each output, what belongs to one image."""


@dataclass(eq=False)
class _Waiting:
    image: NDArray[np.uint8]
    rows: Rows = ()
    error: BaseException | None = None
    is_done: bool = field(default=False)


def sizes(max_images: int = MAX_IMAGES) -> list[int]:
    """How large batches are: 1, 2, 4, …; a device that knows few shapes plans each only once."""
    return [1 << power for power in range(max_images.bit_length()) if 1 << power <= max_images]


def threads_for(device: Device, cores: int, *, capped: bool) -> int:
    """How many engine threads keep `device` busy.

    On a CPU one more than there are cores, for while one waits for the interpreter; not where a
    quota caps them. On a GPU a thread is idle while its photo runs: as many more may wait there as
    fit in a batch.
    """
    if device == "cpu":
        return cores if capped else cores + 1
    return cores + MAX_IMAGES


class Batches:
    """Runs images in batches; `run` is called by many threads.

    Args:
        run: outputs, each (N, ...), of images (N, S, S, 3) uint8; called by one thread at a time.
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

    def warm(self, image: NDArray[np.uint8]) -> None:
        """Run every size once, with copies of `image` (S, S, 3), so that no request pays for it."""
        for size in self._sizes:
            self._run(np.stack([image] * size))

    def run(self, image: NDArray[np.uint8]) -> Rows:
        """Each output's row of one image (S, S, 3) uint8.

        Raises:
            Exception: what the run of its batch raised.
        """
        mine = _Waiting(image)
        with self._changed:
            self._waiting.append(mine)
        while (batch := self._next_batch(mine)) is not None:
            self._do(batch)
        if mine.error is not None:
            raise mine.error
        return mine.rows

    def _next_batch(self, mine: _Waiting) -> list[_Waiting] | None:
        """A batch for this thread to run; None once `mine` is done."""
        with self._changed:
            self._changed.wait_for(lambda: mine.is_done or not self._is_busy)
            if mine.is_done:
                return None
            count = self._sizes[-1]
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            self._is_busy = True
            return batch

    def _do(self, batch: list[_Waiting]) -> None:
        try:
            size = next(size for size in self._sizes if size >= len(batch))
            images = [waiting.image for waiting in batch]
            images += images[-1:] * (size - len(batch))
            outputs = self._run(np.stack(images))
            for number, waiting in enumerate(batch):
                waiting.rows = [output[number] for output in outputs]
        except BaseException as err:  # everybody gets an answer
            for waiting in batch:
                waiting.error = err
        with self._changed:
            self._is_busy = False
            for waiting in batch:
                waiting.is_done = True
            self._changed.notify_all()
