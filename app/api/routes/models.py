"""GET /api/v1/models: what is served, in which version and precision, and what was refused."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app import errors
from app.api.auth import require_admin, require_key
from app.api.problems import responses
from app.api.schemas.classification import ModelList, summary_of
from app.api.schemas.model_details import ModelDetails, details_of
from app.api.service import Service, ServiceDep
from app.runtime.inspection import Inspector, filter_grid
from app.runtime.loaded_model import Model

Version = Annotated[int | None, Query(ge=1, description="Unset: the highest.")]

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
async def describe_model(name: str, service: ServiceDep, version: Version = None) -> ModelDetails:
    """One model's labels, input, layers, figures and origin."""
    entry, model = service.registry.find(name, version)
    structure = await asyncio.to_thread(service.inspector.structure, model)
    return details_of(entry, model, service.registry, structure)


@router.get(
    "/{name}/filters.png",
    summary="What does its first layer look for?",
    response_class=Response,
    responses={
        200: {
            "description": "The first convolution's filters side by side, all on one scale, which "
            "GET /api/v1/models/{name} states as `filters`.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **responses(
            errors.BadParameter, errors.UnknownModel, errors.NotInModel, errors.ModelNotReady
        ),
    },
)
async def draw_filters(name: str, service: ServiceDep, version: Version = None) -> Response:
    """The pictures of the first layer's filters, in the order of its activation maps."""
    model = service.registry.resolve(name, version)
    png = await asyncio.to_thread(_filters_png, service.inspector, model)
    return Response(png, media_type="image/png", headers={"Cache-Control": "no-cache"})


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


def _filters_png(inspector: Inspector, model: Model) -> bytes:
    png, _ = filter_grid(inspector.filters(model))
    return png


def _list(service: Service) -> ModelList:
    registry = service.registry
    return ModelList(
        default=registry.default,
        models=[summary_of(entry, registry) for entry in registry.entries],
    )
