"""GET /api/v1/models and below: the models, their details, reloads, roll-backs and the default."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.problems import openapi_responses
from app.api.request.parameters import Version
from app.api.schemas.models import ModelDetails, ModelList, details_of, list_of
from app.api.service import Service, ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import BadParameter
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
    summary="Load a model's bundles again, try a version, or roll back",
    dependencies=[Depends(require_admin)],
    responses=openapi_responses(
        errors.BadParameter,
        errors.Forbidden,
        errors.UnknownModel,
        errors.TooMuchMemory,
        errors.BundleMismatch,
        errors.BundleMissing,
        errors.PinFileInvalid,
        errors.ModelNotReady,
        errors.ModelStoreUnavailable,
    ),
)
async def reload_model(
    name: str,
    service: ServiceDep,
    version: Annotated[
        int | None,
        Query(
            ge=1,
            description="Version to serve from now on; it is pinned. Unset: the highest version "
            "that isn't held back; for `rollback`, the highest below the one that serves; for "
            "`reject`, the one that is tried; for `shadow` and `canary`, that one, or the highest "
            "above the one that serves.",
        ),
    ] = None,
    mode: Annotated[
        Literal["promote", "shadow", "canary", "rollback", "reject"],
        Query(
            description="`promote`: load the bundles again. `rollback`: serve an earlier version "
            "that is already loaded, and hold back the one that serves now; during a trial, end "
            "that. `reject`: hold back a version that doesn't serve. `shadow`: run a version on a "
            "share of the images, after their responses. `canary`: answer a share of the requests "
            "with it."
        ),
    ] = "promote",
    share: Annotated[
        float | None,
        Query(
            gt=0, le=1, description="Share of a shadow or canary, such as 0.1; required for both."
        ),
    ] = None,
) -> ModelList:
    """Load and verify the bundles of this name again, try one, or roll back.

    Requires the admin key.

    The present model serves until the new one has passed its checks. If the bundle that should
    serve is refused or missing, nothing is selected. The choice is written to the pin file, so it
    outlives a restart.
    """
    registry = service.registry
    if mode in ("shadow", "canary"):
        if share is None:
            raise BadParameter(f"mode={mode} needs a share, such as share=0.1.")
        start = partial(service.trials.start, name, version, mode=mode, share=share)
        return await _change(service, partial(_fetch_first, service, start))
    if share is not None:
        raise BadParameter(f"mode={mode} has no share. Leave it out.")
    changes: dict[str, Callable[..., None]] = {
        "promote": partial(_fetch_first, service, registry.reload_or_raise),
        "rollback": registry.roll_back,
        "reject": registry.reject,
    }
    return await _change(service, partial(changes[mode], name, version))


def _fetch_first(service: Service, change: Callable[..., None], *arguments: object) -> None:
    """Fetch what is new in the model store, if there is one; then carry out the change."""
    if service.store is not None:
        service.store.fetch()
    change(*arguments)


@router.post(
    "/{name}/unload",
    summary="Stop serving a model and free its memory",
    dependencies=[Depends(require_admin)],
    responses=openapi_responses(errors.BadParameter, errors.Forbidden, errors.UnknownModel),
)
async def unload_model(
    name: str,
    service: ServiceDep,
    version: Annotated[
        int | None, Query(ge=1, description="Version to unload. Unset: all versions.")
    ] = None,
) -> ModelList:
    """Unload one version of this model, or all. Requires the admin key.

    Requests that were admitted before still get their responses.
    """
    return await _change(service, partial(service.registry.unload, name, version))


_DEFAULT_ERRORS = openapi_responses(
    errors.Forbidden, errors.UnknownModel, errors.PinFileInvalid, errors.ModelNotReady
)


@router.post(
    "/{name}/default",
    summary="Make a model the default",
    dependencies=[Depends(require_admin)],
    responses=_DEFAULT_ERRORS,
)
async def choose_default(name: str, service: ServiceDep) -> ModelList:
    """Give requests that name no model this one, also after a restart. Requires the admin key."""
    return await _change(service, partial(service.registry.choose_default, name))


@router.delete(
    "/{name}/default",
    summary="Forget that a model was made the default",
    dependencies=[Depends(require_admin)],
    responses=_DEFAULT_ERRORS,
)
async def forget_default(name: str, service: ServiceDep) -> ModelList:
    """Select the default model as at a start without that choice. Requires the admin key.

    Nothing changes if another model was chosen, or none.
    """
    return await _change(service, partial(service.registry.forget_default, name))


async def _change(service: Service, change: Callable[[], None]) -> ModelList:
    """Carry out a change of the models after those that were requested before."""
    await asyncio.get_running_loop().run_in_executor(service.model_changes, change)
    return list_of(service.registry)


def _filters_png(inspector: Inspector, model: Model) -> bytes:
    png, _ = filter_grid(inspector.filters(model))
    return png
