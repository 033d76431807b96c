"""POST /api/v1/classify: one image as the raw body, or one or several as multipart files.

read_request: admit, read body and parameters
-> classify_photos: a result or an error per image -> JSON
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.inference import classify_photos, failure_in_batch, write_response
from app.api.middleware.request_context import record_of
from app.api.middleware.route_cache import CachedRoute
from app.api.problems import openapi_responses
from app.api.request.parameters import BatchParameters
from app.api.request.photos import photo_body
from app.api.routes.photo_request import read_request
from app.api.schemas.classification import (
    EXAMPLE_RESULT,
    Failure,
    MultiLabelResult,
    Result,
    result_of,
)
from app.api.service import Service, ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import BadParameter
from app.runtime import classifier
from app.runtime.classifier import Classified
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["classify"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
    route_class=CachedRoute,
)


class ClassifyParameters(BatchParameters):
    """The parameters of /api/v1/classify."""

    top_k: Annotated[
        int | None,
        Field(
            ge=1,
            description="Maximum number of predictions. Unset: 5; of a multi-label model, all "
            "labels.",
        ),
    ] = None
    min_probability: Annotated[
        float, Field(ge=0, le=1, description="Minimum probability of a prediction.")
    ] = 0.0
    unknown_threshold: Annotated[
        float | None,
        Field(
            allow_inf_nan=False,
            description="Score below which the decision is `unknown`, for this request. Unset: "
            "the model's own threshold.",
        ),
    ] = None


@router.post(
    "/classify",
    summary="Classify images",
    response_class=Response,
    responses={
        200: {
            "description": "A `Result` for one image, or of a multi-label model a "
            "`MultiLabelResult`; a `Batch` for several images or crops, or with `batch=true`.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Result"},
                            {"$ref": "#/components/schemas/MultiLabelResult"},
                            {"$ref": "#/components/schemas/Batch"},
                        ]
                    },
                    "example": EXAMPLE_RESULT,
                }
            },
        },
        **openapi_responses(
            errors.NotAnImage,
            errors.BadParameter,
            errors.ModelRequired,
            errors.UnknownModel,
            errors.BodyTooSlow,
            errors.TooManyBytes,
            errors.TooManyPixels,
            errors.TooMuchMemory,
            errors.TooManyFiles,
            errors.UnsupportedFormat,
            errors.BrokenImage,
            errors.QueueFull,
            errors.ModelOutputInvalid,
            errors.ModelNotReady,
            errors.OutOfMemory,
            errors.DeadlinePassed,
        ),
    },
    openapi_extra={"requestBody": photo_body(ClassifyParameters, several=True)},
)
async def classify(
    request: Request,
    service: ServiceDep,
    query: Annotated[ClassifyParameters, Query()],
) -> Response:
    """Classify one image or several.

    The response for one image is a `Result`, or a problem if the image can't be used. The response
    for several images, or several crops of one, is a `Batch` in the order of the request. An error
    of one file does not affect the others. A multi-label model gives a `MultiLabelResult` for each
    image.
    """
    with service.body_budget.hold() as share:
        admitted = await read_request(request, service, share, query, _check, may_be_canary=True)
        parameters, photos = admitted.parameters, admitted.photos
        selection = classifier.Query(
            parameters.top_k or classifier.default_top_k(admitted.model),
            parameters.min_probability,
            parameters.unknown_threshold,
        )
        results = await classify_photos(
            request, service, photos.files, admitted.model, selection, crops=admitted.crops
        )
    request_id = record_of(request.scope).request_id
    if len(admitted.crops) > 1 and isinstance(results[0], BaseException):
        raise results[0]  # the photo's, and so that of every crop
    is_batch = parameters.batch or admitted.has_several_results
    numbers = sum(len(r.predictions) for r in results if isinstance(r, Classified))
    return await write_response(partial(_response, results, is_batch, service, request_id), numbers)


def _check(model: Model, parameters: ClassifyParameters) -> None:
    """Check that the model has a threshold for the request to replace.

    Raises:
        BadParameter: it has none, or the request's can't be one of its score.
    """
    threshold, rule = parameters.unknown_threshold, model.manifest.unknown
    if threshold is None:
        return
    if rule is None:
        raise BadParameter(
            f"Model {model.name!r} has no threshold for unknown photos, so unknown_threshold can't "
            "replace it. Leave it out."
        )
    if rule.score == "max_probability" and not 0 <= threshold <= 1:
        raise BadParameter(
            f"unknown_threshold is {threshold:g}, but model {model.name!r} compares it with a "
            "probability. Send a number from 0 to 1."
        )


def _response(
    results: Sequence[Classified | BaseException],
    is_batch: bool,
    service: Service,
    request_id: str,
) -> Response:
    if is_batch:
        # Each becomes text at once: as objects, the labels of all take ten times the memory.
        texts = [_item(result, service, request_id).model_dump_json() for result in results]
        return Response(f'{{"results":[{",".join(texts)}]}}', media_type="application/json")
    if isinstance(results[0], BaseException):
        raise results[0]
    return Response(result_of(results[0]).model_dump_json(), media_type="application/json")


def _item(
    result: Classified | BaseException, service: Service, request_id: str
) -> Result | MultiLabelResult | Failure:
    """Return one item of a `Batch`."""
    if isinstance(result, BaseException):
        return failure_in_batch(result, service, request_id)
    return result_of(result)
