"""Models and requests share the memory of the process: what a model takes, requests don't get.

all models loaded -> measured use of the process -> memory for requests
a model is loaded, replaced or unloaded later -> the estimated difference of all models
a training job runs beside the service -> its limit, which requests don't get
"""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from app.bundle import MODEL_FILES
from app.errors import TooMuchMemory
from app.memory_budget import MemoryBudget
from app.runtime.loaded_model import Model
from app.runtime.process_memory import (
    LEAST_BYTES,
    MemoryLimit,
    memory_for_requests,
    memory_limits,
)
from app.runtime.registry import Registry

log = logging.getLogger(__name__)

_MB = 1_000_000
_BYTES_PER_FILE_BYTE = 2.5
"""Memory of a loaded graph for each byte of its file: ONNX Runtime keeps a second copy of the
weights in the order that its kernels read. Measured: 22 MB for 8.9 MB."""
_JOB_SHARE = 0.75
"""The share of the memory for requests that a process beside this one may have."""
LEAST_JOB_BYTES = 450_000_000
"""The least memory in which a head can be trained; 420 to 440 MB with 120 photos."""


def model_bytes(model: Model) -> int:
    """Return the estimated memory of a loaded model."""
    file = model.manifest.files[MODEL_FILES[model.session.precision]]
    return int(_BYTES_PER_FILE_BYTE * file.bytes)


class ModelMemory:
    """The models' part of the memory that they share with requests.

    Args:
        budget: the memory for requests; its total is set here.
        body_budget: the part for bodies.
        max_body_bytes: the upper limit for all bodies; they get at most half of the budget.
        registry: the models.
        threads: the engine's threads.
        limits: returns the limits on the process.
        index_bytes: returns the memory that indexes take.
    """

    def __init__(
        self,
        budget: MemoryBudget,
        body_budget: MemoryBudget,
        max_body_bytes: int,
        registry: Registry,
        threads: int,
        limits: Callable[[], list[MemoryLimit]] = memory_limits,
        index_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self._budget = budget
        self._body_budget = body_budget
        self._max_body_bytes = max_body_bytes
        self._registry = registry
        self._threads = threads
        self._limits = limits
        self._index_bytes = index_bytes
        self._without_models_bytes = 0
        self._reserved_bytes = 0
        """Memory of a process beside this one."""

    def settle(self) -> None:
        """Set the memory for requests to what is left now, and follow later changes of models.

        Call it once all models are loaded and before any request.
        """
        limits = self._limits()
        left_bytes = memory_for_requests(limits, self._threads)
        self._without_models_bytes = left_bytes + self._loaded_bytes()
        self.follow()
        self._registry.on_change = self.follow
        self._registry.while_loading = self._loading
        self._registry.check_memory = self._check_fits
        tightest = min(limits, key=lambda limit: limit.left_bytes)
        text = "requests may use %d MB of memory, of %d MB of %s"
        message = (text, left_bytes // 10**6, tightest.limit_bytes // 10**6, tightest.name)
        if left_bytes == LEAST_BYTES:
            log.warning(text + ", which is too little for large images", *message[1:])
        else:
            log.info(*message)

    def follow(self) -> None:
        """Set the memory for requests after models or indexes were loaded, replaced or unloaded."""
        taken_bytes = self._loaded_bytes() + self._reserved_bytes
        left_bytes = max(LEAST_BYTES, self._without_models_bytes - taken_bytes)
        self._budget.total_bytes = left_bytes
        self._body_budget.total_bytes = min(self._max_body_bytes, left_bytes // 2)

    def _loaded_bytes(self) -> int:
        models = (entry.model for entry in self._registry.entries if entry.model)
        return self._index_bytes() + sum(map(model_bytes, models))

    def _check_fits(self, folder: Path) -> None:
        """Check that requests keep enough memory if the bundle in `folder` is loaded, too.

        Raises:
            TooMuchMemory: they don't.
        """
        needed_bytes = int(_BYTES_PER_FILE_BYTE * max(_graph_bytes(folder), default=0))
        taken_bytes = self._loaded_bytes() + self._reserved_bytes
        left_bytes = self._without_models_bytes - taken_bytes - LEAST_BYTES
        if needed_bytes > left_bytes:
            raise TooMuchMemory(
                f"{folder} needs about {-(-needed_bytes // _MB):,} MB of memory beside the version "
                f"that serves, and {max(0, left_bytes // _MB):,} MB can be spared. Unload a model "
                "that isn't used, or give the service more memory."
            )

    def job_bytes(self, most_bytes: int) -> int:
        """Return the memory that a process beside this one may have, of `most_bytes`.

        Raises:
            TooMuchMemory: it is too little for any training.
        """
        left_bytes = self._without_models_bytes - self._loaded_bytes()
        share_bytes = int(_JOB_SHARE * left_bytes)
        if share_bytes < LEAST_JOB_BYTES:
            raise TooMuchMemory(
                f"A training job needs {LEAST_JOB_BYTES // _MB:,} MB at least, and "
                f"{max(0, share_bytes // _MB):,} MB can be spared. Give the service more memory, "
                "or unload a model that isn't used."
            )
        return min(most_bytes, share_bytes)

    @contextmanager
    def reserved(self, size: int) -> Generator[None, None, None]:
        """Leave `size` bytes to a process beside this one; requests have less meanwhile."""
        self._reserved_bytes = size
        self.follow()
        try:
            yield
        finally:
            self._reserved_bytes = 0
            self.follow()

    @contextmanager
    def _loading(self, folder: Path) -> Generator[None, None, None]:
        """Hold memory for a bundle that is loaded while the old model serves; wait for it."""
        file_bytes = sum(_graph_bytes(folder))
        # with traffic, all of the budget would never be free
        needed_bytes = min(int(_BYTES_PER_FILE_BYTE * file_bytes), self._budget.total_bytes // 2)
        with self._budget.waiting_hold(needed_bytes):
            yield


def _graph_bytes(folder: Path) -> list[int]:
    """Return the sizes of a bundle's graphs."""
    graphs = [folder / name for name in MODEL_FILES.values()]
    return [graph.stat().st_size for graph in graphs if graph.is_file()]
