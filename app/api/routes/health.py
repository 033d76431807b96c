"""Probes and metrics, which run no model, wait for no photo and require no key."""

from fastapi import APIRouter, Request, Response

from app.api.exposition import CONTENT_TYPES, exposition_for
from app.api.problems import NOT_READY_RETRY_S
from app.api.schemas.models import QueueState, Readiness, summary_of
from app.api.service import ServiceDep
from app.errors import ModelError

router = APIRouter(tags=["operation"])


@router.get("/livez", summary="Check that the process is alive")
async def livez() -> dict[str, str]:
    """Return 200 while the event loop runs."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="Check that the service is ready for requests",
    responses={
        503: {
            "description": "The service is draining, or its default model is not ready.",
            "model": Readiness,
        }
    },
)
async def readyz(service: ServiceDep, response: Response) -> Readiness:
    """Return 200 if the default model is ready; 503 if it is not, and after SIGTERM."""
    registry = service.registry
    engine = service.classifier.engine
    readiness = Readiness(
        status="ready",
        reason=None,
        device=service.device.device,
        device_note=service.device.note,
        default=registry.default.name,
        default_reason=registry.default.reason,
        models=[summary_of(entry, registry) for entry in registry.entries],
        queue=QueueState(
            waiting=engine.depth,
            large=engine.large_depth,
            wait_seconds=round(engine.wait_s, 3),
            full=engine.is_full(),
        ),
    )
    try:
        registry.check_ready()
    except ModelError as err:
        readiness.status, readiness.reason = "not ready", str(err)
    if service.lifecycle.draining:
        readiness.status = "draining"
    if readiness.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = str(NOT_READY_RETRY_S)
    return readiness


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Return requests by route and status, stage times, queue depth, rejections and models.

    With `Accept: application/openmetrics-text`, the histogram of latency has exemplars.
    """
    format = exposition_for(request.headers.get("accept", ""))
    text = await service.metrics.scrapes.exposition(format)
    await request.app.state.turns.wait()
    return Response(text, headers={"Content-Type": CONTENT_TYPES[format], "Vary": "Accept"})
