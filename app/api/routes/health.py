"""Probes and metrics; they touch no model, wait for nothing and need no key."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.problems import NOT_READY_RETRY_S
from app.api.schemas.classification import Readiness, summary_of
from app.api.service import ServiceDep
from app.errors import ModelError

router = APIRouter(tags=["operation"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Is the process alive?")
async def livez() -> dict[str, str]:
    """200 for as long as the event loop turns."""
    return {"status": "alive"}


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Should requests be sent here?",
    responses={
        503: {"description": "Draining, or the default model is refused.", "model": Readiness}
    },
)
async def readyz(service: ServiceDep, response: Response) -> Readiness:
    """200 when the default model serves; 503 when it doesn't, and after SIGTERM."""
    registry = service.registry
    readiness = Readiness(
        status="ready",
        reason=None,
        device=service.device.device,
        device_note=service.device.note,
        default=registry.default,
        models=[summary_of(entry, registry) for entry in registry.entries],
    )
    try:
        registry.resolve()
    except ModelError as err:
        readiness.status, readiness.reason = "not ready", str(err)
    if service.lifecycle.draining:
        readiness.status = "draining"
    if readiness.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = str(NOT_READY_RETRY_S)
    return readiness


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(service: ServiceDep) -> Response:
    """Requests by route and status, stage times, queue depth, rejections, models."""
    return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
