"""The routes POST /v2/models/{name}[/versions/{version}]/infer: classify images.

admit -> read the body -> `read_inference`, on a thread -> classify -> `make_response`
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.dialects.inference_v2.request import LENGTH_HEADER, json_bytes, read_inference
from app.api.dialects.inference_v2.response import make_response
from app.api.dialects.inference_v2.schemas import INFERENCE, InferenceAnswer
from app.api.dialects.inference_v2.tensors import ModelInput
from app.api.dialects.openapi import IMAGE_ERRORS, error_docs
from app.api.error_formats import message_only
from app.api.inference import admit, all_or_raise, classify_photos, write_response
from app.api.request import crops
from app.api.request.body import read_body
from app.api.service import Service, ServiceDep
from app.errors import TooManyBytes
from app.memory_budget import MemoryShare
from app.runtime.classifier import Query

router = APIRouter(
    prefix="/models/{name}",
    dependencies=[Depends(require_key)],
    responses=error_docs(message_only, *KEY_ERRORS, errors.TooManyFiles, *IMAGE_ERRORS),
)

_JSON_COPIES = 2
"""Copies of the JSON that exist while it is read: the text, and its strings or their images."""

_DOCS: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "The output; `application/octet-stream` where it follows the JSON.",
            "model": InferenceAnswer,
        }
    },
    "openapi_extra": {
        "parameters": [
            {
                "in": "header",
                "name": LENGTH_HEADER,
                "required": False,
                "schema": {"type": "integer", "minimum": 0},
                "description": "Length of the JSON in the body, in bytes. 0: the body is the "
                "image. Unset: the whole body is JSON.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": INFERENCE},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
}


@router.post("/infer", summary="v2: classify images", **_DOCS)
async def infer(
    name: str,
    request: Request,
    service: ServiceDep,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Classify the images of the only input, `image`. One broken image fails the request.

    - **BYTES** `[n]` or `[n, 1]`: encoded images (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC).
      After the JSON, each is preceded by its length. In the JSON, each is base64, which the
      protocol does not define.
    - **UINT8** `[n, 480, 480, 3]`: canvases, RGB; `[n, H, W, 3]`: the model's input.
    - **Raw binary request** (header 0): the body is one encoded image or one array. Its first bytes
      and its length decide which.

    The output is `probabilities`, FP32 `[n, K]`; with the parameter `classification: k`, BYTES
    `[n, k]` of `probability:index:label`, most probable first. Shared memory and compressed bodies
    are rejected.

    `crop` may also be a parameter of the request: a text, or an array of them. The output then has
    a row for each crop of the only image.
    """
    return await _infer(request, service, name, None, crop)


@router.post("/versions/{version}/infer", summary="v2: classify images by one version", **_DOCS)
async def infer_by_version(
    name: str,
    version: Annotated[int, Path(ge=1, description="A version of the model.")],
    request: Request,
    service: ServiceDep,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Classify images by one version of the model; otherwise the same as without a version."""
    return await _infer(request, service, name, version, crop)


async def _infer(
    request: Request, service: Service, name: str, version: int | None, crop: Sequence[str]
) -> Response:
    model = admit(request, service, name, version, by_position=True)
    selected = crops.parse_crops(crop, service.limits.max_files)
    model_input = ModelInput(model.manifest.input.shape, service.limits.max_files)
    with service.body_budget.hold() as share:
        body = await read_body(request, service.limits.max_body_bytes, service.limits, share)
        json_length = json_bytes(request.headers.get(LENGTH_HEADER), len(body))
        _account_for_reading(share, json_length, len(body))
        inference = await asyncio.to_thread(read_inference, body, json_length, model_input)
        classes = inference.output.classes
        selected = crops.merge_crops(crop, selected, inference.crops, service.limits.max_files)
        results = await classify_photos(
            request,
            service,
            inference.photos,
            model,
            Query(top_k=classes),
            crops=selected,
            all_probabilities=not classes,
        )
    images = all_or_raise(results)
    numbers = len(images) * (classes or len(model.manifest.labels))
    return await write_response(partial(make_response, images, inference, model), numbers)


def _account_for_reading(share: MemoryShare, json_length: int, body_bytes: int) -> None:
    """Reserve the memory that reading the JSON takes, in addition to the body.

    Raises:
        TooManyBytes: reading takes more memory than the limit for all bodies together.
        QueueFull: it takes more memory than is free now.
    """
    needed = body_bytes + _JSON_COPIES * json_length
    if needed > share.budget.total_bytes:
        raise TooManyBytes(
            f"Reading {json_length} bytes of JSON takes {needed} bytes of memory; "
            f"{share.budget.total_bytes} are allowed. Send fewer images at once, or binary data."
        )
    share.grow_to(needed)
