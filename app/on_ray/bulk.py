"""`hubel classify --engine ray`: the shards of a run, classified on a cluster.

shards -> workers: each has the model, and an engine on its cores -> results, in order
       -> the same rows as without Ray, written by the process of the command
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from app.bulk.classification import Classification, Result, results_of
from app.errors import BadParameter, BundleMismatch
from app.on_ray import data_map
from app.on_ray.data_map import Workers
from app.on_ray.replica import cores_of
from app.runtime.batching import threads_for
from app.runtime.engine import Engine
from app.runtime.host import is_capped
from app.runtime.loaded_model import Model
from app.runtime.registry_and_device import create_registry
from app.settings import Settings
from app.sources.addresses import is_remote
from app.sources.shard import Shard

_DEADLINE_S = 24 * 3600.0
RESULTS_AT_ONCE = 256
"""Results that a worker hands over at once: those of a shard may be larger than its memory."""


@dataclass(frozen=True)
class BulkModel:
    """The model that each worker loads, and how the machine of the command has loaded it."""

    settings: Settings
    name: str
    version: int
    seal: str
    precision: str

    @classmethod
    def of(cls, settings: Settings, model: Model) -> "BulkModel":
        """Return the description of a loaded model."""
        seal, precision = model.bundle.seal, model.session.precision
        return cls(settings, model.name, model.version, seal, precision)

    def load(self) -> Model:
        """Load the model on a node.

        Raises:
            BundleMismatch: the node has another bundle, or runs it in another precision.
            ModelNotFound: it has no such model.
        """
        settings = self.settings
        registry = create_registry(
            settings.models, settings.device, settings.default_model, cache=settings.models_cache
        ).registry
        registry.load_all()
        model = registry.resolve(self.name, self.version)
        if model.bundle.seal != self.seal:
            raise BundleMismatch(
                f"A node has another bundle of {self.name} version {self.version}. Share one "
                "folder of models between all nodes, or use S3."
            )
        if model.session.precision != self.precision:
            raise BundleMismatch(
                f"A node runs {self.name} in {model.session.precision}, and this machine in "
                f"{self.precision}, so that rows would differ. Use nodes with the same processor."
            )
        return model


@dataclass(frozen=True)
class MakeBulkWorker:
    """Makes the worker of a node."""

    model: BulkModel
    classification: Classification

    def __call__(self, assigned: dict[str, float]) -> "BulkWorker":
        """Return a worker with these resources."""
        return BulkWorker(self.model.load(), self.classification, cores_of(assigned))


class BulkWorker:
    """The model of a node, and an engine.

    Args:
        model: the model.
        classification: what is the same for all photos.
        cores: the cores of the engine.
    """

    def __init__(self, model: Model, classification: Classification, cores: int) -> None:
        self._model = model
        self._classification = classification
        threads = threads_for(model.session.device, cores, capped=is_capped())
        self._engine = Engine(threads=threads, deadline_s=_DEADLINE_S)
        self._engine.__enter__()

    def results_of(self, item: str) -> Iterator[list[Any]]:
        """Yield the results of a shard's line in order, some at a time, with its end.

        Raises:
            BadParameter: the node has none of the shard's files.
        """
        shard = Shard.of_line(item)
        require_files(shard)
        waiting: list[Any] = []
        for result in results_of([shard], self._model, self._classification, self._engine):
            waiting.append(result)
            if len(waiting) == RESULTS_AT_ONCE:
                yield waiting
                waiting = []
        yield waiting


def require_files(shard: Shard) -> None:
    """Check that this node has one of the shard's files, or that they are remote.

    Raises:
        BadParameter: it has none of them.
    """
    paths = [each.address for each in shard.files] or [shard.address]
    if not any(is_remote(path) or os.path.lexists(path) for path in paths):
        raise BadParameter(
            f"A node has no {paths[0]}. Share the folder between all nodes, or use S3."
        )


@contextmanager
def workers_on_ray(
    settings: Settings, model: Model, classification: Classification, workers: Workers
) -> Iterator[Callable[[Iterable[Shard]], Iterator[Result]]]:
    """Start Ray, or connect to RAY_ADDRESS, and yield the function that classifies shards there.

    Raises:
        BadParameter: Ray isn't installed or can't be reached; later: a worker can't go on.
    """
    workers = replace(workers, gpus=int(model.session.device == "cuda"))
    make = MakeBulkWorker(BulkModel.of(settings, model), classification)
    with data_map.started_ray():
        yield lambda shards: data_map.map_in_order(make, (s.line() for s in shards), workers)
