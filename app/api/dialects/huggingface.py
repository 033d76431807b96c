"""Hugging Face's image classification: POST /hf/{model}, as InferenceClient sends it.

admit -> read the body -> by its first byte: an image, or {"inputs": base64, "parameters"}
-> classify -> [{"label", "score"}], most probable first

The client posts to exactly the URL that it gets as `model`. Without parameters it sends the image
itself, possibly without a content type; with parameters it sends JSON. A string in `inputs` is
base64: this service opens no paths and no URLs.

`function_to_apply`, of a single-label model: every response is a calibrated softmax. `sigmoid` and
`none` are rejected: both need the logits, which the model does not return. Log probabilities can't
replace them: they differ from the logits by a constant that differs from image to image.

Of a multi-label model, `sigmoid` is the default, as in Hugging Face's own pipeline. Its logits are
the log-odds of the probabilities, so `none` and `softmax` are computed from them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, cast

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi import Query as Parameter
from numpy.typing import NDArray
from pydantic import BaseModel

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.dialects.json_images import base64_length, decode_base64, read_json
from app.api.dialects.openapi import FILE, IMAGE_ERRORS, error_docs, json_body, response_docs
from app.api.error_formats import message_only
from app.api.inference import admit, all_or_raise, classify_photos
from app.api.request import crops
from app.api.request.body import read_body
from app.api.service import BodyLimits, ServiceDep
from app.bundle import Task
from app.errors import BadParameter
from app.runtime.classifier import Classified, Query

router = APIRouter(
    prefix="/hf",
    tags=["hugging face"],
    dependencies=[Depends(require_key)],
    responses=error_docs(message_only, *KEY_ERRORS),
)

Function = Literal["sigmoid", "softmax", "none"]
FUNCTIONS: tuple[Function, ...] = ("sigmoid", "softmax", "none")

_PARAMETERS_BYTES = 4096
"""Allowance in a JSON body for everything except the image."""
_JSON_STARTS = b'{["'
"""First bytes of JSON. No image begins with them."""

_TEXT = {"type": "string"}
_INPUTS = {
    "type": "object",
    "properties": {
        "inputs": {"type": "string", "description": "The image in base64."},
        "parameters": {
            "type": "object",
            "properties": {
                "top_k": {"type": "integer", "minimum": 1, "default": 5},
                "function_to_apply": {
                    "type": "string",
                    "enum": list(FUNCTIONS),
                    "description": "softmax for a single-label model. Of a multi-label model "
                    "sigmoid (the default), softmax, or none for the logits.",
                },
                "crop": {
                    "description": f"{crops.DESCRIPTION} Several are an array.",
                    "anyOf": [_TEXT, {"type": "array", "items": _TEXT}],
                },
            },
        },
    },
    "required": ["inputs"],
}
_BODY = json_body(_INPUTS, {"top_k": {"inputs": "/9j/4AAQSkZJRgABAQ…", "parameters": {"top_k": 3}}})
_BODY["content"].update(
    {kind: {"schema": FILE} for kind in ("image/*", "application/octet-stream")}
)


class Score(BaseModel):
    """A label and its probability; with `function_to_apply` none, its logit."""

    label: str
    score: float


_EXAMPLE = [{"label": "Egyptian cat", "score": 0.661382}, {"label": "tabby", "score": 0.102369}]
_SCORES = {"type": "array", "items": {"$ref": "#/components/schemas/Score"}}
_SCHEMA = {"anyOf": [_SCORES, {"type": "array", "items": _SCORES}]}


@router.post(
    "/{model}",
    summary="Classify an image",
    responses={
        200: response_docs(
            "Labels with their probabilities, most probable first; for several crops, an array of "
            "such arrays.",
            _SCHEMA,
            _EXAMPLE,
        ),
        **error_docs(message_only, *IMAGE_ERRORS),
    },
    openapi_extra={"requestBody": _BODY},
)
async def classify_for_hugging_face(
    request: Request,
    service: ServiceDep,
    model: str,
    version: Annotated[
        int | None, Parameter(ge=1, description="Version of the model. Unset: the serving version.")
    ] = None,
    crop: crops.CropQuery = [],  # noqa: B006 - FastAPI copies it
) -> list[Score] | list[list[Score]]:
    """Classify an image: the body itself, of any content type, or base64 in JSON."""
    selected_model = admit(request, service, model, version)
    selected = crops.parse_crops(crop, service.limits.max_files)
    with service.body_budget.hold() as share:
        body = await read_body(request, _limit(request, service.limits), service.limits, share)
        photo, query, function, in_body = body, Query(), None, list[str]()
        if body.lstrip()[:1] in _JSON_STARTS and body:
            interpret = partial(_interpret, selected_model.manifest.task)
            photo, query, function, in_body = await read_json(body, service.body_budget, interpret)
        selected = crops.merge_crops(crop, selected, in_body, service.limits.max_files)
        classified = all_or_raise(
            await classify_photos(request, service, [photo], selected_model, query, crops=selected)
        )
    scores = [_scores(each, function) for each in classified]
    return scores if len(selected) > 1 else scores[0]


def _scores(classified: Classified, function: Function | None) -> list[Score]:
    if function is None:
        return [Score(label=p.label, score=p.probability) for p in classified.predictions]
    scores = _apply(function, classified.probabilities)
    return [Score(label=p.label, score=scores[p.index]) for p in classified.predictions]


@router.get(
    "/{model}/health",
    summary="Whether the model is ready",
    responses=error_docs(message_only, errors.UnknownModel, errors.ModelNotReady),
)
async def health_for_hugging_face(service: ServiceDep, model: str) -> dict[str, str]:
    """Return 200 if the model is ready; `InferenceClient.health_check` calls this."""
    service.registry.resolve(model)
    return {"status": "ok"}


def _limit(request: Request, limits: BodyLimits) -> int:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return limits.max_image_bytes
    return base64_length(limits.max_image_bytes) + _PARAMETERS_BYTES


def _interpret(task: Task, document: Any) -> tuple[bytes, Query, Function | None, list[str]]:
    """Return the image, the query, the function that replaces the model's own, and the crops."""
    if not isinstance(document, Mapping) or "inputs" not in document:
        raise BadParameter('The JSON holds no image. Send {"inputs": "<base64>"}.')
    parameters = document.get("parameters") or {}
    query, function = _query_of(parameters, task)
    in_body = crops.texts_in(parameters.get("crop"))
    return decode_base64(document["inputs"], "inputs"), query, function, in_body


def _query_of(parameters: Any, task: Task) -> tuple[Query, Function | None]:
    if not isinstance(parameters, Mapping):
        raise BadParameter('parameters is not an object. Send {"top_k": 5}, or leave it out.')
    function = _function_of(parameters.get("function_to_apply"), task)
    top_k = parameters.get("top_k")
    if top_k is None:
        return Query(), function
    if type(top_k) is not int or top_k < 1:
        raise BadParameter("top_k must be a whole number from 1. Send 5, or leave it out.")
    return Query(top_k), function


def _function_of(function: Any, task: Task) -> Function | None:
    """Return the function to apply to the logits; None for the model's own."""
    if task == "multi_label":
        if function in (None, "sigmoid"):
            return None
        if function in FUNCTIONS:
            return cast(Function, function)
        raise BadParameter(
            "function_to_apply must be sigmoid, softmax or none. Send one of them, or leave it out."
        )
    if function not in (None, "softmax"):
        raise BadParameter(
            "function_to_apply can only be softmax: the model returns calibrated "
            "probabilities, not the logits that 'sigmoid' and 'none' require. Leave it out."
        )
    return None


def _apply(function: Function, probabilities: NDArray[np.float32]) -> list[float]:
    """Return softmax of the logits of a multi-label model, or the logits, for all labels (K,)."""
    numbers = np.finfo(np.float32)
    p = probabilities.astype(np.float64).clip(numbers.tiny, 1 - numbers.epsneg)
    logits = np.log(p) - np.log1p(-p)
    if function == "none":
        return list(logits.tolist())
    powers = np.exp(logits - logits.max())
    return list((powers / powers.sum()).tolist())
