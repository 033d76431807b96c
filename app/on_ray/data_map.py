"""An ordered map over the nodes of a cluster, by Ray Data: items -> workers -> results, in order.

items, as text -> Ray Data -> a worker on a node -> `results_of` -> the results, some at a time
a worker or its node dies   -> Ray Data starts another one, which does its items again
"""

import logging
import os
import pickle
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from app.errors import BadParameter, HubelError
from app.on_ray import environment

_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # the command has its own
}
_BLOCKS = 1000
"""Ray Data hands items to workers by blocks, and does a block again after a failure."""


class Worker(Protocol):
    """A worker, made once on each node that has one."""

    def results_of(self, item: str) -> Iterator[Sequence[Any]]:
        """Yield the results of an item in order, some at a time."""
        ...


class MakeWorker(Protocol):
    """What makes a worker on a node; it is pickled."""

    def __call__(self, assigned: dict[str, float]) -> Worker:
        """Return a worker that has the resources `assigned`, such as {"CPU": 2.0}."""
        ...


@dataclass(frozen=True)
class Workers:
    """How many workers there are, and what each one has."""

    least: int | None = None
    """None: one for each node."""
    most: int | None = None
    """More are started while items wait and nodes have room; None: `least`."""
    cores: int | None = None
    """The cores of one; None: those of the smallest node."""
    gpus: int = 0
    """The GPUs of one."""

    def on_nodes(self, cores_of_nodes: Iterable[float]) -> "Workers":
        """Return the same without a None, for nodes with these cores."""
        nodes = [max(1, int(cores)) for cores in cores_of_nodes if cores] or [1]
        least = self.least or len(nodes)
        return Workers(least, self.most or least, self.cores or min(nodes), self.gpus)


@contextmanager
def started_ray() -> Generator[None, None, None]:
    """Start Ray on this machine, or connect to RAY_ADDRESS; end it after the block.

    Raises:
        BadParameter: Ray isn't installed, or the cluster can't be reached.
    """
    environment.require_ray()
    environment.give_home()
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    address = os.environ.get("RAY_ADDRESS", "local")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, include_dashboard=False, logging_level="WARNING")
    except (ConnectionError, RuntimeError, ValueError) as err:
        raise BadParameter(
            f"Ray can't be reached at {address} ({environment.last_line(str(err))}) Correct "
            "RAY_ADDRESS, or leave it out."
        ) from err
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray has set its own
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # not its file
            handler.setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    try:
        yield
    finally:
        ray.shutdown()


def map_in_order(make: MakeWorker, items: Iterable[str], workers: Workers) -> Iterator[Any]:
    """Yield the results of all items, in order; Ray is started.

    Args:
        make: makes the worker of a node.
        items: the items, all of which are held in memory.
        workers: how many there are.

    Raises:
        HubelError: an expected error of a worker.
        BadParameter: no worker can be started, or one has failed in another way.
    """
    import ray
    import ray.data

    from hubel.on_ray import PickledWorker

    rows = [{"item": item} for item in items]
    if not rows:
        return
    cores = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    pool = workers.on_nodes(cores)
    results = ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS)).map_batches(
        PickledWorker,
        fn_constructor_args=(pickle.dumps(make), os.getcwd()),
        batch_size=1,
        num_cpus=pool.cores,
        num_gpus=pool.gpus,
        compute=ray.data.ActorPoolStrategy(min_size=pool.least, max_size=pool.most),
    )
    try:
        for row in results.iter_rows():
            done = pickle.loads(row["results"])
            if isinstance(done, HubelError):
                raise done
            yield from done
    except ray.exceptions.RayError as err:
        raise BadParameter(
            f"A worker can't go on: {environment.last_line(str(err))} Ray's logs are below "
            "/tmp/ray/session_latest/logs."
        ) from err
