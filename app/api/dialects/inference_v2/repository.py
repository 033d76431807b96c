"""The routes POST /v2/repository: list models and, with the admin key, load and unload them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.dialects.inference_v2.schemas import IndexEntry
from app.api.dialects.openapi import error_docs
from app.api.error_formats import message_only
from app.api.request.body import read_body
from app.api.service import Service, ServiceDep
from app.errors import BadParameter

_MAX_BODY_BYTES = 64 * 1024

router = APIRouter(
    prefix="/repository",
    dependencies=[Depends(require_key)],
    responses=error_docs(message_only, *KEY_ERRORS, errors.BadParameter),
)


def _optional_body(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of an optional body."""
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


@router.post(
    "/index",
    summary="v2: all models",
    openapi_extra=_optional_body(
        {
            "ready": {
                "type": "boolean",
                "description": "List only models that are ready.",
                "default": False,
            }
        }
    ),
)
async def index(request: Request, service: ServiceDep) -> list[IndexEntry]:
    """List all models in all versions. Those that are not ready have a reason."""
    only_ready = (await _read_object(request, service)).get("ready") is True
    return [
        IndexEntry(
            name=entry.name,
            version="" if entry.version is None else str(entry.version),
            state="READY" if entry.ready else "UNAVAILABLE",
            reason=entry.reason or "",
        )
        for entry in service.registry.entries
        if entry.ready or not only_ready
    ]


@router.post(
    "/models/{name}/load",
    summary="v2: load a model",
    dependencies=[Depends(require_admin)],
    response_class=Response,
    responses={
        200: {"description": "The highest version is ready; no body."},
        **error_docs(
            message_only,
            errors.Forbidden,
            errors.UnknownModel,
            errors.BundleMismatch,
            errors.BundleMissing,
            errors.PinFileInvalid,
        ),
    },
    openapi_extra=_optional_body({"parameters": {"type": "object"}}),
)
async def load(name: str, request: Request, service: ServiceDep) -> Response:
    """Load and verify the bundles of this name. This needs the admin key.

    The current version serves until the new one is verified. A bundle that fails changes nothing.
    Configurations and files in the request are not accepted.
    """
    parameters = (await _read_object(request, service)).get("parameters") or {}
    if "config" in parameters or any(key.startswith("file:") for key in parameters):
        raise BadParameter(
            "A model is loaded from its bundle alone. Copy the bundle into the models folder, and "
            "load it without config and files."
        )
    await _change(service, service.registry.reload_or_raise, name)
    return Response()


@router.post(
    "/models/{name}/unload",
    summary="v2: unload a model",
    dependencies=[Depends(require_admin)],
    response_class=Response,
    responses={
        200: {"description": "No version is ready any more; no body."},
        **error_docs(message_only, errors.Forbidden, errors.UnknownModel),
    },
    openapi_extra=_optional_body({"parameters": {"type": "object"}}),
)
async def unload(name: str, request: Request, service: ServiceDep) -> Response:
    """Unload all versions of a model. This needs the admin key. Running requests are finished."""
    await _read_object(request, service)
    await _change(service, service.registry.unload, name)
    return Response()


async def _change(service: Service, change: Callable[[str], None], name: str) -> None:
    """Carry out a change of the models after those that were requested before."""
    await asyncio.get_running_loop().run_in_executor(service.model_changes, change, name)


async def _read_object(request: Request, service: Service) -> Mapping[str, Any]:
    """Return the body as a JSON object; an empty body is an empty object.

    Raises:
        BadParameter: the body is not a JSON object.
    """
    with service.body_budget.hold() as share:
        body = await read_body(request, _MAX_BODY_BYTES, service.limits, share)
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as err:
        raise BadParameter("The body's JSON can't be read. Send an object, or nothing.") from err
    if not isinstance(value, dict) or not isinstance(value.get("parameters") or {}, dict):
        raise BadParameter("The body and its `parameters` must be JSON objects.")
    return value
