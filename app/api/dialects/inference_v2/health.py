"""The probes GET /v2/health/live and /ready, which need no key."""

from fastapi import APIRouter, Response

from app.api.dialects.inference_v2.schemas import Live, Ready
from app.api.service import Service, ServiceDep
from app.errors import ModelError

router = APIRouter(prefix="/health")


@router.get("/live", summary="v2: whether the process is alive")
async def live() -> Live:
    """Return 200 as long as the event loop runs."""
    return Live(live=True)


@router.get(
    "/ready",
    summary="v2: whether requests should be sent here",
    responses={
        503: {
            "description": "The service is draining, or the default model is not ready.",
            "model": Ready,
        }
    },
)
async def ready(service: ServiceDep, response: Response) -> Ready:
    """Return 200 if the default model is ready; 503 if it isn't, and after SIGTERM."""
    readiness = Ready(ready=_is_ready(service))
    if not readiness.ready:
        response.status_code = 503
    return readiness


def _is_ready(service: Service) -> bool:
    try:
        service.registry.check_ready()
    except ModelError:
        return False
    return not service.lifecycle.draining
