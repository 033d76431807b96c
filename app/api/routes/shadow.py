"""GET /api/v1/models/{name}/versions/{version}/shadow: how a shadowed version compares."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.problems import openapi_responses
from app.api.schemas.shadow import ShadowReport, shadow_report
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)


@router.get(
    "/{name}/versions/{version}/shadow",
    summary="Compare a shadowed version with the one that serves",
    dependencies=[Depends(require_admin)],
    responses=openapi_responses(errors.BadParameter, errors.Forbidden, errors.UnknownModel),
)
async def show_shadow(
    name: str, version: Annotated[int, Path(ge=1)], service: ServiceDep
) -> ShadowReport:
    """Return agreement, latency and the last disagreements. Requires the admin key.

    The figures are those since the process began, or since either version was replaced.
    """
    status = await asyncio.to_thread(service.trials.status, name, version)
    return shadow_report(name, version, status)
