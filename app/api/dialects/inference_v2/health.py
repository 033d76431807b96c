"""GET /v2/health/live and /ready: the probes, which need no key."""

from fastapi import APIRouter, Response

from app.api.dialects.inference_v2.schemas import Live, Ready
from app.api.service import Service, ServiceDep
from app.errors import ModelError

router = APIRouter(prefix="/health")


@router.get("/live", summary="v2: is the process alive?")
async def live() -> Live:
    """200 for as long as the event loop turns."""
    return Live(live=True)


@router.get(
    "/ready",
    summary="v2: should requests be sent here?",
    responses={
        503: {"description": "Draining, or the default model does not serve.", "model": Ready}
    },
)
async def ready(service: ServiceDep, response: Response) -> Ready:
    """200 when the default model serves; 503 when it doesn't, and after SIGTERM."""
    told = Ready(ready=_is_ready(service))
    if not told.ready:
        response.status_code = 503
    return told


def _is_ready(service: Service) -> bool:
    try:
        service.registry.resolve()
    except ModelError:
        return False
    return not service.lifecycle.draining
