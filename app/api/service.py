"""The objects that routes use; `app.main.create_service` creates them."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request

from app.api.auth import Keys
from app.api.captured_photos import CapturedPhotos
from app.api.metrics import Metrics
from app.api.upload_limits import UploadLimits
from app.dataset_store import DatasetStore
from app.jobs.runner import JobRunner
from app.memory_budget import MemoryBudget
from app.model_store import ModelStore
from app.runtime.classifier import Classifier
from app.runtime.drift import DriftMonitor
from app.runtime.inspection import Inspector
from app.runtime.model_memory import ModelMemory
from app.runtime.registry import Registry
from app.runtime.served_indexes import ServedIndexes
from app.runtime.session import DeviceChoice
from app.runtime.trials import Trials
from app.uploads import UploadFiles


@dataclass
class Lifecycle:
    """The stage of the process between its start and its end."""

    draining: bool = False
    """True after SIGTERM: requests still get responses, but load balancers should send no more."""


@dataclass(frozen=True)
class BodyLimits:
    """The limits of a request's body."""

    max_image_bytes: int
    max_body_bytes: int
    """The limit for a multipart or JSON body."""
    max_files: int
    timeout_s: float
    """The time from the first byte of a request in which its whole body must arrive."""


@dataclass(frozen=True)
class Service:
    """The objects that routes use."""

    registry: Registry
    store: ModelStore | None
    """The model store that the registry's bundles are copied from, if there is one."""
    classifier: Classifier
    inspector: Inspector
    device: DeviceChoice
    keys: Keys
    limits: BodyLimits
    memory_budget: MemoryBudget
    """The memory for all requests: bodies, pixels and responses."""
    body_budget: MemoryBudget
    """Its part for bodies."""
    model_memory: ModelMemory
    metrics: Metrics
    drift: DriftMonitor
    trials: Trials
    indexes: ServedIndexes | None
    """The indexes of photos; None: the service has none."""
    captures: CapturedPhotos | None
    """Which photos are kept, and where; None: none."""
    datasets: DatasetStore | None
    """The datasets for training; None: there is no folder for them."""
    uploads: UploadFiles | None
    """The models that wait for an import; None: there is no folder for them."""
    install_bundle: Callable[[Path], None]
    """Verifies the bundle in a folder, puts it into the models folder, and holds it back; run it
    on `model_changes`."""
    upload_limits: UploadLimits
    jobs: JobRunner | None
    """Runs training jobs; None: there is no folder for them."""
    log_predictions: bool
    """Whether a request's log line has the labels and probabilities."""
    lifecycle: Lifecycle
    model_changes: Executor
    """Runs reloads and unloads one after another, so that they take no thread of requests."""


async def get_service(request: Request) -> Service:
    """Return the application's service; a dependency of routes."""
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]
