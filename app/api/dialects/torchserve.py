"""TorchServe's inference API: /predictions/{model}[/{version}] and /ping.

admit -> read the body: the image itself, or the only file of a multipart body -> classify
-> {label: probability}, most probable first

POST and PUT do the same, as in TorchServe: `curl -T photo.jpg`, which its documentation shows, is a
PUT. Versions are written 1 or 1.0. The management API (port 8081), /explanations, workflows and
gRPC are not supported. A model is a folder here: see /api/v1/models.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.dialects.openapi import FILE, IMAGE_ERRORS, error_docs, response_docs
from app.api.error_formats import torchserve
from app.api.inference import admit, all_or_raise, classify_photos
from app.api.request import crops
from app.api.request.body import read_body
from app.api.request.multipart import is_multipart, split_files
from app.api.service import Service, ServiceDep
from app.errors import BadParameter, ModelError, UnknownModel
from app.memory_budget import MemoryShare
from app.runtime.classifier import Query

router = APIRouter(
    tags=["torchserve"],
    dependencies=[Depends(require_key)],
    responses=error_docs(torchserve, *KEY_ERRORS),
)
ping_router = APIRouter(tags=["torchserve"])
"""The probe, which needs no key."""

Scores = dict[str, float]
"""Probabilities by label."""

_VERSION = re.compile(r"([0-9]{1,9})(\.0)?")

_STATUS = {"type": "object", "properties": {"status": {"type": "string"}}}
_SCORES = {"type": "object", "additionalProperties": {"type": "number"}}
_PREDICTIONS = response_docs(
    "The five most probable labels, most probable first; for several crops, an array of such "
    "objects.",
    {"anyOf": [_SCORES, {"type": "array", "items": _SCORES}]},
    {"Egyptian cat": 0.661382, "tiger cat": 0.226730, "tabby": 0.102369},
)
_RESPONSES = {
    200: _PREDICTIONS,
    **error_docs(torchserve, *IMAGE_ERRORS, errors.TooManyFiles),
}
_BODY = {
    "required": True,
    "description": "The image itself, under any content type; or a multipart body with one file.",
    "content": {
        **{kind: {"schema": FILE} for kind in ("image/*", "application/octet-stream")},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"data": FILE}}},
    },
}
_DOCUMENT: dict[str, Any] = {"responses": _RESPONSES, "openapi_extra": {"requestBody": _BODY}}
"""The part of the OpenAPI document that POST and PUT share."""


@router.put("/predictions/{model}", summary="Classify an image, as `curl -T` sends it", **_DOCUMENT)
@router.post("/predictions/{model}", summary="Classify an image", **_DOCUMENT)
async def predictions(
    request: Request,
    service: ServiceDep,
    model: str,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Scores | list[Scores]:
    """Classify an image with the serving version; with several crops, return a list."""
    return await _predict(request, service, model, None, crop)


@router.put(
    "/predictions/{model}/{version}",
    summary="Classify an image by one version, as `curl -T` sends it",
    **_DOCUMENT,
)
@router.post(
    "/predictions/{model}/{version}", summary="Classify an image by one version", **_DOCUMENT
)
async def predictions_by_version(
    request: Request,
    service: ServiceDep,
    model: str,
    version: str,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Scores | list[Scores]:
    """Classify an image by one version, written 1 or 1.0; with several crops, return a list."""
    number = _VERSION.fullmatch(version)
    if not number:
        service.registry.resolve(model)
        raise UnknownModel(f"Model {model!r} has no version {version!r}. Versions are 1, 2, …")
    return await _predict(request, service, model, int(number[1]), crop)


@ping_router.get(
    "/ping",
    summary="Whether requests should be sent here",
    responses={
        200: response_docs("Requests should be sent here.", _STATUS, {"status": "Healthy"}),
        503: response_docs(
            "The service is draining, or the default model is not ready.",
            _STATUS,
            {"status": "Unhealthy"},
        ),
    },
)
async def ping(service: ServiceDep, response: Response) -> dict[str, str]:
    """Return what /readyz returns, in TorchServe's format. It needs no key."""
    try:
        service.registry.check_ready()
        healthy = not service.lifecycle.draining
    except ModelError:
        healthy = False
    if not healthy:
        response.status_code = 503
    return {"status": "Healthy" if healthy else "Unhealthy"}


async def _predict(
    request: Request, service: Service, model: str, version: int | None, crop: Sequence[str]
) -> Scores | list[Scores]:
    selected_model = admit(request, service, model, version)
    selected = crops.parse_crops(crop, service.limits.max_files)
    with service.body_budget.hold() as share:
        photo = await _read_photo(request, service, share)
        classified = all_or_raise(
            await classify_photos(
                request, service, [photo], selected_model, Query(), crops=selected
            )
        )
    scores = [
        {prediction.label: prediction.probability for prediction in each.predictions}
        for each in classified
    ]
    return scores if len(selected) > 1 else scores[0]


async def _read_photo(request: Request, service: Service, share: MemoryShare) -> bytes:
    limits = service.limits
    content_type = request.headers.get("content-type", "")
    if not is_multipart(content_type):
        return await read_body(request, limits.max_image_bytes, limits, share)
    body = await read_body(request, limits.max_body_bytes, limits, share)
    files = await asyncio.to_thread(split_files, body, content_type, limits.max_files)
    if len(files) > 1:
        raise BadParameter(
            f"The body has {len(files)} files; this protocol classifies one image. Send them "
            "one by one, or together to /api/v1/classify."
        )
    return files[0]
