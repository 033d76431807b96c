"""GET /api/v1/models: what is served, in which version and precision, and what was refused."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app import errors
from app.api.auth import require_admin, require_key
from app.api.problems import responses
from app.api.schemas import ModelDetails, ModelList, details_of, summary_of
from app.api.service import Service, ServiceDep

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
)


@router.get("", summary="Which models are there?")
async def list_models(service: ServiceDep) -> ModelList:
    """All models, those that were refused too, with the reason."""
    return _list(service)


@router.get(
    "/{name}",
    summary="What is this model?",
    responses=responses(errors.BadParameter, errors.UnknownModel, errors.ModelNotReady),
)
async def describe_model(
    name: str,
    service: ServiceDep,
    version: Annotated[int | None, Query(ge=1, description="Unset: the highest.")] = None,
) -> ModelDetails:
    """One model's labels, input, figures and origin."""
    entry, model = service.registry.find(name, version)
    return details_of(entry, model, service.registry)


@router.post(
    "/{name}/reload",
    summary="Look again for this model's bundles",
    dependencies=[Depends(require_admin)],
    responses=responses(
        errors.BadParameter, errors.Forbidden, errors.UnknownModel, errors.BundleMismatch
    ),
)
async def reload_model(
    name: str,
    service: ServiceDep,
    version: Annotated[
        int | None,
        Query(ge=1, description="Serve this one from now on, the way back; unset: the highest."),
    ] = None,
) -> ModelList:
    """Load and verify the bundles of this name again; needs the admin key.

    What serves goes on until the new one has passed; a bundle that is refused changes nothing.
    """
    await asyncio.to_thread(service.registry.reload_or_refuse, name, version)
    return _list(service)


@router.post(
    "/{name}/unload",
    summary="Stop serving this model, and free its memory",
    dependencies=[Depends(require_admin)],
    responses=responses(errors.Forbidden, errors.UnknownModel),
)
async def unload_model(name: str, service: ServiceDep) -> ModelList:
    """All versions of it; needs the admin key. Requests in flight are still answered."""
    await asyncio.to_thread(service.registry.unload, name)
    return _list(service)


def _list(service: Service) -> ModelList:
    registry = service.registry
    return ModelList(
        default=registry.default,
        models=[summary_of(entry, registry) for entry in registry.entries],
    )
