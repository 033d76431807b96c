"""The exchange between the processes that train one network, by torch.distributed.

each step: a process computes the gradients of its part of the batch -> their mean, in all processes
photos     the leader's, mapped by the other processes of its machine
val        each process predicts a part                              -> all predictions, in all
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from app.runtime.host import available_cores
from training.contracts import TrainingData
from training.errors import DataUnusable
from training.processes import Processes, of_environment

T = TypeVar("T")
_TIMEOUT = timedelta(hours=24)
"""Followers wait while the leader reads the photos and fits the first head."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together; by default this one alone."""

    processes: Processes = field(default_factory=Processes)

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.processes.count == 1

    @property
    def is_leader(self) -> bool:
        """Whether this process reports, and makes the bundle."""
        return self.processes.rank == 0

    def part(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch, every `count`-th photo."""
        return batch[self.processes.rank :: self.processes.count]

    def range_of(self, count: int) -> tuple[int, int]:
        """Return where this process's part of `count` items begins and ends."""
        rank, of = self.processes.rank, self.processes.count
        return rank * count // of, (rank + 1) * count // of

    def seed_of(self, seed: int) -> int:
        """Return a seed of this process's own; the leader's is `seed`."""
        return seed + 15_485_863 * self.processes.rank

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return a module whose backward pass averages the gradients over all processes.

        All processes get the leader's weights at once, and its buffers in each step.
        """
        return network if self.is_alone else DistributedDataParallel(network)

    def without_exchange(self, network: nn.Module) -> AbstractContextManager[Any]:
        """Return a context manager in which gradients add up in each process."""
        context: AbstractContextManager[Any] = nullcontext()
        if isinstance(network, DistributedDataParallel):
            context = network.no_sync()
        return context

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if self.is_alone:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total) / self.processes.count

    def of_leader(self, value: T) -> T:
        """Return the leader's value, in every process."""
        if self.is_alone:
            return value
        values = [value if self.is_leader else None]
        distributed.broadcast_object_list(values)
        return values[0]  # type: ignore[return-value]

    def take_buffers_of_leader(self, network: nn.Module) -> None:
        """Replace the buffers of a network, such as running means, by those of the leader."""
        if not self.is_alone:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    def joined(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows of all processes, one after another."""
        if self.is_alone:
            return rows
        parts: list[Any] = [None] * self.processes.count
        distributed.all_gather_object(parts, rows)
        return np.concatenate(parts)

    def shared(self, training_data: TrainingData | None) -> TrainingData:
        """Return the photos that one process of each machine has read.

        Args:
            training_data: the photos, in a process that has read them; else None.
        """
        if self.is_alone:
            assert training_data is not None
            return training_data
        own, of_machine = self.processes, self.processes.local_count
        group = None
        for first in range(0, own.count, of_machine):  # every process makes every group
            made = distributed.new_group(list(range(first, first + of_machine)), _TIMEOUT, "gloo")
            group = made if first <= own.rank < first + of_machine else group
        values = [_described(training_data) if own.reads_photos else None]
        distributed.broadcast_object_list(values, own.rank - own.local_rank, group)
        if training_data is not None and own.reads_photos:
            return training_data
        described = values[0]
        assert described is not None
        return _mapped(described)


ALONE = ProcessGroup()


@contextmanager
def join(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the other processes, if there are any.

    Args:
        device: what this process trains on.

    Raises:
        DataUnusable: another process has ended.
    """
    processes = of_environment()
    if processes.count == 1:
        yield ALONE
        return
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, math.ceil(available_cores() / processes.local_count)))
    try:
        distributed.init_process_group(backend, timeout=_TIMEOUT)
        yield ProcessGroup(processes)
    except (distributed.DistError, RuntimeError) as err:
        if "peer" not in str(err) and not isinstance(err, distributed.DistError):
            raise
        raise DataUnusable(
            "Another process of this training has ended. Its message stands above; start again, "
            "with --resume for the epochs that were saved."
        ) from err
    finally:
        torch.set_num_threads(threads)
        if distributed.is_initialized():
            distributed.destroy_process_group()


@dataclass(frozen=True, eq=False)
class _Pixels:
    """The file that pixels are mapped from; or the pixels themselves, if they are in memory."""

    file: Path | None
    values: NDArray[np.uint8] | None


def _described(training_data: TrainingData | None) -> TrainingData | None:
    """Return the photos with the files of their pixels in place of these."""
    assert training_data is not None
    return replace(
        training_data,
        pixels=_file_of(training_data.pixels),
        augmentation_input=_file_of(training_data.augmentation_input),
    )


def _file_of(pixels: NDArray[np.uint8]) -> Any:
    name = getattr(pixels, "filename", None)
    return _Pixels(Path(name), None) if name else _Pixels(None, pixels)


def _mapped(described: TrainingData) -> TrainingData:
    return replace(
        described,
        pixels=_pixels_of(described.pixels),
        augmentation_input=_pixels_of(described.augmentation_input),
    )


def _pixels_of(pixels: Any) -> NDArray[np.uint8]:
    mapped: NDArray[np.uint8] = (
        pixels.values if pixels.file is None else open_memmap(pixels.file, "r")
    )
    return mapped
