"""The routes POST /v1/models/{model}[/versions/{version}]:predict and :classify.

admit -> read the body -> JSON -> images, on a thread -> classify -> JSON, on a thread

predict returns all probabilities in the order of the model's labels, which
/api/v1/models/{model} lists. classify returns [label, score] for all labels, most probable first.
One bad image fails the request. With several crops, the only image has a row for each.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from app import errors
from app.api.dialects.json_images import read_json
from app.api.dialects.openapi import IMAGE_ERRORS, error_docs, json_body, response_docs
from app.api.dialects.tensorflow import pixel_lists
from app.api.dialects.tensorflow.bodies import BodyReader
from app.api.dialects.tensorflow.metadata import Version
from app.api.dialects.tensorflow.pixel_lists import Shape
from app.api.error_formats import message_only
from app.api.inference import admit, all_or_raise, classify_photos
from app.api.request import crops
from app.api.request.body import read_body
from app.api.service import Service, ServiceDep
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.loaded_model import Model
from app.vision import CANVAS_SHAPE

router = APIRouter()
"""The routes below /v1/models."""

_OBJECT = {"type": "object"}
_ERRORS = error_docs(message_only, *IMAGE_ERRORS, errors.TooManyFiles)
_FILE = {"b64": "/9j/4AAQSkZJRgABAQ…"}
_PREDICT: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: response_docs(
            "`predictions` for `instances`, `outputs` for `inputs`: for each image all "
            "probabilities, in the order of the model's labels.",
            _OBJECT,
            {"predictions": [[0.00012, 0.98761, 0.01227]]},
        ),
        **_ERRORS,
    },
    "openapi_extra": {
        "requestBody": json_body(
            _OBJECT,
            {
                "files": {"instances": [_FILE]},
                "named": {"signature_name": "serving_default", "instances": [{"image": _FILE}]},
                "columns": {"inputs": {"image_bytes": [_FILE]}},
                "pixels": {"instances": [[[[255, 0, 0], [254, 1, 0]], [[253, 0, 2], [255, 1, 1]]]]},
            },
        )
    },
}
_CLASSIFY: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: response_docs(
            "For each example all labels with their probabilities, most probable first.",
            _OBJECT,
            {"results": [[["Egyptian cat", 0.661382], ["tiger cat", 0.226730]]]},
        ),
        **_ERRORS,
    },
    "openapi_extra": {
        "requestBody": json_body(_OBJECT, {"files": {"examples": [{"image": _FILE}]}})
    },
}


@router.post("/{model}:predict", summary="Probabilities of all labels", **_PREDICT)
async def predict(
    request: Request,
    service: ServiceDep,
    model: str,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Return all probabilities of images in base64 or in nested lists, by the serving version."""
    return await _predict(request, service, model, None, crop)


@router.post(
    "/{model}/versions/{version}:predict",
    summary="Probabilities of all labels, by one version",
    **_PREDICT,
)
async def predict_by_version(
    request: Request,
    service: ServiceDep,
    model: str,
    version: Version,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Return all probabilities of images in base64 or in nested lists, by one version."""
    return await _predict(request, service, model, version, crop)


@router.post("/{model}:classify", summary="Labels and their probabilities", **_CLASSIFY)
async def classify(
    request: Request,
    service: ServiceDep,
    model: str,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Return the labels of images in base64 with their probabilities, by the serving version."""
    return await _classify(request, service, model, None, crop)


@router.post(
    "/{model}/versions/{version}:classify",
    summary="Labels and their probabilities, by one version",
    **_CLASSIFY,
)
async def classify_by_version(
    request: Request,
    service: ServiceDep,
    model: str,
    version: Version,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Return the labels of images in base64 with their probabilities, by one version."""
    return await _classify(request, service, model, version, crop)


async def _predict(
    request: Request, service: Service, name: str, version: int | None, crop: Sequence[str]
) -> Response:
    model = admit(request, service, name, version, by_position=True)
    interpret = _body_reader(service, model).predict
    classified, columns = await _classify_images(
        request, service, model, Query(1), interpret, crop, all_probabilities=True
    )
    member = "outputs" if columns else "predictions"
    return await _json(lambda: {member: [image.probabilities.tolist() for image in classified]})


async def _classify(
    request: Request, service: Service, name: str, version: int | None, crop: Sequence[str]
) -> Response:
    model = admit(request, service, name, version)
    interpret = _body_reader(service, model).classify
    query = Query(len(model.manifest.labels))
    classified, _ = await _classify_images(request, service, model, query, interpret, crop)
    return await _json(
        lambda: {
            "results": [
                [[p.label, p.probability] for p in image.predictions] for image in classified
            ]
        }
    )


def _body_reader(service: Service, model: Model) -> BodyReader:
    return BodyReader(service.limits.max_files, _shapes(model))


def _shapes(model: Model) -> Collection[Shape]:
    return {CANVAS_SHAPE, model.manifest.input.shape}


async def _classify_images(
    request: Request,
    service: Service,
    model: Model,
    query: Query,
    interpret: Callable[[Any], tuple[list[Photo], bool]],
    crop: Sequence[str],
    *,
    all_probabilities: bool = False,
) -> tuple[Sequence[Classified], bool]:
    """Classify all images of the body, and return whether they came in columns."""
    shapes = _shapes(model)
    limits = service.limits
    selected = crops.parse_crops(crop, limits.max_files)
    with service.body_budget.hold() as share:
        body = await read_body(request, limits.max_body_bytes, limits, share)
        photos, columns = await read_json(
            body,
            service.body_budget,
            interpret,
            find_arrays=lambda text: pixel_lists.find_images(text, shapes),
            advice=f"Send images in base64, or as {pixel_lists.describe(shapes)}.",
            range_error=pixel_lists.RANGE_ERROR,
        )
        del body  # free its memory while the images are classified
        results = await classify_photos(
            request,
            service,
            photos,
            model,
            query,
            crops=selected,
            all_probabilities=all_probabilities,
        )
        return all_or_raise(results), columns


async def _json(make: Callable[[], Any]) -> Response:
    """Encode a response on a thread: it has a number for each label of each image."""
    text = await asyncio.to_thread(lambda: json.dumps(make(), ensure_ascii=False))
    return Response(text, media_type="application/json")
