"""POST /v2/repository: which models are there; and, with the admin key, load and unload them."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from app import errors
from app.api.auth import require_admin, require_key
from app.api.dialects.documented import error_docs
from app.api.dialects.inference_v2.schemas import IndexEntry
from app.api.error_shapes import error_alone
from app.api.request.body import read_body
from app.api.service import Service, ServiceDep
from app.errors import BadParameter

_MAX_BODY_BYTES = 64 * 1024

router = APIRouter(
    prefix="/repository",
    dependencies=[Depends(require_key)],
    responses=error_docs(error_alone, errors.Unauthenticated, errors.BadParameter),
)


def _takes(properties: dict[str, Any]) -> dict[str, Any]:
    """What OpenAPI says of a body that may be left out."""
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


@router.post(
    "/index",
    summary="v2: which models are there?",
    openapi_extra=_takes(
        {"ready": {"type": "boolean", "description": "Only those that answer.", "default": False}}
    ),
)
async def index(request: Request, service: ServiceDep) -> list[IndexEntry]:
    """All models in all versions, those that don't answer too, with the reason."""
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
    summary="v2: look again for this model's bundles",
    dependencies=[Depends(require_admin)],
    response_class=Response,
    responses={
        200: {"description": "The highest version answers; no body."},
        **error_docs(error_alone, errors.Forbidden, errors.UnknownModel, errors.BundleMismatch),
    },
    openapi_extra=_takes({"parameters": {"type": "object"}}),
)
async def load(name: str, request: Request, service: ServiceDep) -> Response:
    """Load and verify the bundles of this name; needs the admin key.

    What serves goes on until the new one has passed; a bundle that is refused changes nothing.
    Configurations and files are not taken from the request.
    """
    parameters = (await _read_object(request, service)).get("parameters") or {}
    if "config" in parameters or any(key.startswith("file:") for key in parameters):
        raise BadParameter(
            "A model is loaded from its bundle alone. Copy that into the models folder, and load "
            "it without config and files."
        )
    await asyncio.to_thread(service.registry.reload_or_refuse, name)
    return Response()


@router.post(
    "/models/{name}/unload",
    summary="v2: stop serving this model",
    dependencies=[Depends(require_admin)],
    response_class=Response,
    responses={
        200: {"description": "No version answers any more; no body."},
        **error_docs(error_alone, errors.Forbidden, errors.UnknownModel),
    },
    openapi_extra=_takes({"parameters": {"type": "object"}}),
)
async def unload(name: str, request: Request, service: ServiceDep) -> Response:
    """All versions of it; needs the admin key. Requests in flight are still answered."""
    await _read_object(request, service)
    await asyncio.to_thread(service.registry.unload, name)
    return Response()


async def _read_object(request: Request, service: Service) -> Mapping[str, Any]:
    """The body as a JSON object; it may be empty.

    Raises:
        BadParameter: it is something else.
    """
    with service.buffer.hold() as held:
        body = await read_body(request, _MAX_BODY_BYTES, service.limits, held)
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as err:
        raise BadParameter("The body's JSON can't be read. Send an object, or nothing.") from err
    if not isinstance(value, dict) or not isinstance(value.get("parameters") or {}, dict):
        raise BadParameter("The body and its `parameters` must be JSON objects.")
    return value
