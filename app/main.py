"""The wiring of the application: settings -> models -> service -> application."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import cast

from fastapi import FastAPI

from app import __version__, vision
from app.api import problems, routing
from app.api.auth import Keys
from app.api.dialects import huggingface, inference_v2, tensorflow, torchserve
from app.api.early_refusal import EarlyRefusal
from app.api.metrics import Metrics
from app.api.middleware.cors import CorsLines
from app.api.middleware.outer import add_outer_middleware
from app.api.middleware.request_context import RequestContext
from app.api.middleware.route_cache import RouteCache, RouteCacheMiddleware
from app.api.openapi_document import openapi_document
from app.api.routes import (
    activations,
    bundle_zip,
    capture_image,
    capture_lists,
    captures,
    classify,
    dataset_photos,
    datasets,
    drift,
    embed,
    explain,
    health,
    indexes,
    jobs,
    models,
    page,
    report,
    shadow,
    similar,
    uploads,
)
from app.api.security_headers import security_headers
from app.api.service import BodyLimits, Lifecycle, Service
from app.api.tracing import Tracing
from app.api.turns import Turns
from app.data_folder import (
    captured_photos,
    dataset_store,
    job_runner,
    local_models,
    upload_limits,
)
from app.errors import ModelError
from app.jobs.promotion import Models, install_verified
from app.keys_file import KeysFile
from app.memory_budget import MemoryBudget
from app.model_store import StoreWatch
from app.runtime.batching import threads_for
from app.runtime.classifier import Classifier
from app.runtime.drift import DriftMonitor
from app.runtime.engine import Engine
from app.runtime.host import available_cores, is_capped
from app.runtime.inspection import Inspector
from app.runtime.model_memory import ModelMemory
from app.runtime.process_memory import memory_for_requests, memory_limits
from app.runtime.registry_and_device import RegistryAndDevice, create_registry
from app.runtime.served_indexes import ServedIndexes
from app.runtime.trials import Trials
from app.runtime.watch import Watch
from app.settings import Settings
from app.uploads import UploadFiles

log = logging.getLogger("hubel")

_DESCRIPTION = (
    "Hubel classifies images: POST an image to `/api/v1/classify` and get calibrated "
    "probabilities. Errors are `application/problem+json` with a stable `code`."
)


def create_service(
    settings: Settings, created: RegistryAndDevice | None = None, cores: int | None = None
) -> Service:
    """Create the service; no model is loaded and no thread started here.

    Args:
        settings: the user's settings.
        created: the registry and device, if they were already created; None creates them.
        cores: the cores that it may use, with the same part of the memory; None: all of them.

    Raises:
        DeviceUnavailable: the requested device is unavailable.
        BadParameter: the folder of models, or the keys file, can't be read.
        ValueError: a key file can't be read.
    """
    available = available_cores()
    cores = cores or available
    created = created or create_registry(
        settings.models,
        settings.device,
        settings.default_model,
        cores,
        cache=settings.models_cache,
        data_dir=settings.data_dir,
    )
    registry, device, store = created.registry, created.device, created.store
    log.info(device.summary)
    threads = threads_for(device.device, cores, capped=is_capped())
    limits = memory_limits(part=cores / available)
    memory_budget = MemoryBudget(memory_for_requests(limits, threads))
    body_budget = memory_budget.part(settings.max_buffered_bytes)
    engine = Engine(
        threads=threads,
        cores=cores,
        deadline_s=settings.deadline_s,
        wait_s=settings.queue_wait_s,
        memory=memory_budget,
        behind_event_loop=True,
    )
    drift = DriftMonitor()
    indexes = ServedIndexes(settings.index, registry) if settings.index else None
    captured = captured_photos(settings, memory_budget)
    named_keys = None if settings.keys_file is None else KeysFile(settings.keys_file)
    photo_limits = vision.Limits(settings.max_image_bytes, settings.max_pixels, settings.max_side)
    trials = Trials(registry, engine, memory_budget, photo_limits)
    model_memory = ModelMemory(
        memory_budget,
        body_budget,
        settings.max_buffered_bytes,
        registry,
        threads,
        index_bytes=lambda: indexes.memory_bytes if indexes else 0,
    )
    uploads = UploadFiles(settings.data_dir, settings.upload_keep_s) if settings.data_dir else None
    jobs = job_runner(settings, registry, model_memory, uploads)
    return Service(
        registry=registry,
        store=store,
        classifier=Classifier(engine, photo_limits),
        inspector=Inspector(photo_limits, settings.deadline_s),
        device=device,
        keys=Keys(settings.api_key_value, settings.admin_key_value, named=named_keys),
        limits=BodyLimits(
            settings.max_image_bytes,
            settings.max_body_bytes,
            settings.max_files,
            min(settings.body_timeout_s, settings.deadline_s),
        ),
        memory_budget=memory_budget,
        body_budget=body_budget,
        model_memory=model_memory,
        metrics=Metrics(
            depth=lambda: engine.depth,
            capacity=lambda: engine.capacity,
            large_depth=lambda: engine.large_depth,
            wait_s=lambda: engine.wait_s,
            held_bytes=lambda: memory_budget.held_bytes,
            memory_bytes=lambda: memory_budget.total_bytes,
            registry=registry,
            device=device,
            drift=drift,
            trials=trials,
            recorder=captured.recorder if captured else None,
            jobs=jobs,
        ),
        drift=drift,
        trials=trials,
        indexes=indexes,
        captures=captured,
        datasets=dataset_store(settings, memory_budget),
        jobs=jobs,
        uploads=uploads,
        install_bundle=partial(
            install_verified, Models(registry, local_models(settings)), registry
        ),
        upload_limits=upload_limits(settings),
        log_predictions=settings.log_predictions,
        lifecycle=Lifecycle(),
        model_changes=ThreadPoolExecutor(1, "models"),
    )


def create_app(
    settings: Settings,
    created: RegistryAndDevice | None = None,
    tracing: Tracing | None = None,
    cores: int | None = None,
) -> FastAPI:
    """Create the application, which loads its models when it starts.

    Args:
        settings: the user's settings.
        created: the registry and device, if they were already created; None creates them.
        tracing: the traces of requests; None: no request is traced.
        cores: the cores that it may use, with the same part of the memory; None: all of them.

    Raises:
        DeviceUnavailable: the requested device is unavailable.
        BadParameter: the folder of models, or the keys file, can't be read; or the root path begins
            like a route.
        ValueError: a key file can't be read.
    """
    service = create_service(settings, created, cores)
    app = FastAPI(
        title="Hubel",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        # FastAPI's own traces and metrics would name the same requests once more
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.service = service
    app.state.turns = turns = Turns()
    app.state.tracing = tracing or nullcontext()
    app.state.watch = Watch(service.registry) if settings.watch else nullcontext()
    app.state.store_watch = nullcontext()
    if settings.watch and service.store is not None:
        app.state.store_watch = StoreWatch(service.store)
    app.state.route_cache = route_cache = RouteCache()
    headers = security_headers(tls=settings.tls_cert is not None)
    app.add_middleware(
        RouteCacheMiddleware, route_cache=route_cache, error_response=problems.error_response
    )
    app.add_middleware(
        RequestContext,
        metrics=service.metrics,
        tracing=tracing,
        is_draining=lambda: service.lifecycle.draining,
        unexpected_response=problems.unexpected_response,
        security_headers=headers,
    )
    problems.install(app)
    app.include_router(classify.router)
    app.include_router(embed.router)
    app.include_router(similar.router)
    app.include_router(indexes.router)
    app.include_router(explain.router)
    app.include_router(activations.router)
    app.include_router(models.router)
    app.include_router(drift.router)
    app.include_router(shadow.router)
    app.include_router(report.router)
    app.include_router(bundle_zip.router)
    app.include_router(uploads.router)
    app.include_router(capture_lists.router)
    app.include_router(captures.router)
    app.include_router(capture_image.router)
    app.include_router(captures.feedback_router)
    app.include_router(datasets.router)
    app.include_router(dataset_photos.router)
    app.include_router(jobs.router)
    app.include_router(health.router)
    app.include_router(inference_v2.router)
    app.include_router(huggingface.router)
    app.include_router(torchserve.router)
    app.include_router(torchserve.ping_router)
    app.include_router(tensorflow.router)
    page.install(app, turns)
    routing.install(app)
    add_outer_middleware(
        app,
        cors_origins=settings.cors_origin_list,
        root_path=settings.root_path,
        trusted_proxies=settings.trusted_proxy_list,
    )
    app.state.early_refusal = EarlyRefusal(
        app,
        service,
        settings.queue_wait_s,
        security_headers=headers,
        cors=CorsLines(settings.cors_origin_list) if settings.cors_origin_list else None,
        root_path=settings.root_path or "",
    )
    app.openapi = partial(openapi_document, app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    service = cast(Service, app.state.service)
    await asyncio.to_thread(service.registry.load_all)
    service.model_memory.settle()
    if service.indexes is not None:
        service.indexes.on_change = service.model_memory.follow
        await asyncio.to_thread(service.indexes.poll)
    try:
        service.registry.check_ready()
    except ModelError as err:
        log.error("Requests without a model name get no result: %s", err)
    engine = service.classifier.engine
    # Use no local variable for a model: this frame lives as long as the process.
    times_s = [entry.model.service_s for entry in service.registry.entries if entry.model]
    if times_s:
        engine.expect(max(times_s))
    named_keys = service.keys.named or nullcontext()
    store_watch = app.state.store_watch
    recorder = service.captures.recorder if service.captures else nullcontext()
    jobs_runner = service.jobs or nullcontext()
    with (
        app.state.tracing,
        recorder,
        service.datasets or nullcontext(),
        service.uploads or nullcontext(),
        service.indexes or nullcontext(),
        engine,
        service.trials,
        store_watch,
        app.state.watch,
        named_keys,
        jobs_runner,
    ):
        yield
