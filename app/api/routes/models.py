"""GET /api/v1/models and below: the models, their details, their reload and unload."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.problems import openapi_responses
from app.api.request.parameters import Version
from app.api.schemas.models import ModelDetails, ModelList, details_of, list_of
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.runtime.inspection import Inspector, filter_grid
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)


@router.get("", summary="List the models")
async def list_models(service: ServiceDep) -> ModelList:
    """List all models, including those that were refused, with the reason."""
    return list_of(service.registry)


@router.get(
    "/{name}",
    summary="Describe a model",
    responses=openapi_responses(errors.BadParameter, errors.UnknownModel, errors.ModelNotReady),
)
async def describe_model(name: str, service: ServiceDep, version: Version = None) -> ModelDetails:
    """Return a model's labels, input, layers, metrics and training metadata."""
    entry, model = service.registry.find(name, version)
    structure = await asyncio.to_thread(service.inspector.structure, model)
    return details_of(entry, model, service.registry, structure)


@router.get(
    "/{name}/filters.png",
    summary="Draw the filters of a model's first layer",
    response_class=Response,
    responses={
        200: {
            "description": "The first convolution's filters side by side, all on one scale. "
            "GET /api/v1/models/{name} returns the scale as `filters`.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **openapi_responses(
            errors.BadParameter, errors.UnknownModel, errors.NotInModel, errors.ModelNotReady
        ),
    },
)
async def draw_filters(name: str, service: ServiceDep, version: Version = None) -> Response:
    """Draw the first layer's filters, in the order of its activation maps."""
    model = service.registry.resolve(name, version)
    png = await asyncio.to_thread(_filters_png, service.inspector, model)
    return Response(png, media_type="image/png", headers={"Cache-Control": "no-cache"})


@router.post(
    "/{name}/reload",
    summary="Load a model's bundles again",
    dependencies=[Depends(require_admin)],
    responses=openapi_responses(
        errors.BadParameter, errors.Forbidden, errors.UnknownModel, errors.BundleMismatch
    ),
)
async def reload_model(
    name: str,
    service: ServiceDep,
    version: Annotated[
        int | None,
        Query(
            ge=1,
            description="Version to serve from now on, for example to roll back. Unset: the "
            "highest version.",
        ),
    ] = None,
) -> ModelList:
    """Load and verify the bundles of this name again. Requires the admin key.

    The present model serves until the new one has passed its checks. A bundle that is refused is
    not used. Without `version`, an earlier choice of a version is forgotten all the same.
    """
    await asyncio.to_thread(service.registry.reload_or_raise, name, version)
    return list_of(service.registry)


@router.post(
    "/{name}/unload",
    summary="Stop serving a model and free its memory",
    dependencies=[Depends(require_admin)],
    responses=openapi_responses(errors.Forbidden, errors.UnknownModel),
)
async def unload_model(name: str, service: ServiceDep) -> ModelList:
    """Unload all versions of this model. Requires the admin key.

    Requests that were admitted before still get their responses.
    """
    await asyncio.to_thread(service.registry.unload, name)
    return list_of(service.registry)


def _filters_png(inspector: Inspector, model: Model) -> bytes:
    png, _ = filter_grid(inspector.filters(model))
    return png
