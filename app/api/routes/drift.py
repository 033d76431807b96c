"""GET /api/v1/models/{name}/drift: the drift of a model's predictions from its training."""

import asyncio

from fastapi import APIRouter, Depends

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.problems import openapi_responses
from app.api.request.parameters import Version
from app.api.schemas.drift import DriftReport, drift_report
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)


@router.get(
    "/{name}/drift",
    summary="Compare a model's predictions with those on its photos of training",
    responses=openapi_responses(errors.BadParameter, errors.UnknownModel, errors.ModelNotReady),
)
async def show_drift(name: str, service: ServiceDep, version: Version = None) -> DriftReport:
    """Return the population stability index of the last 2,000 predictions.

    It compares their decisions, labels and confidence with the baseline in the bundle.
    """
    model = service.registry.resolve(name, version)
    drift = await asyncio.to_thread(service.drift.drift, model)
    return drift_report(model, drift)
