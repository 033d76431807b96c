"""POST /api/v1/classify: one image as the raw body, or one or many as multipart files.

admit -> read the body -> answer, each image for itself -> JSON
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app import errors
from app.api.auth import require_key
from app.api.inference import admit, classify_photos, write_response
from app.api.middleware.request_context import facts_of
from app.api.middleware.route_cache import CachedRoute
from app.api.problems import problem_of, responses
from app.api.request.photos import photo_body, read_photos
from app.api.schemas.classification import EXAMPLE_RESULT, Batch, Failure, Result, result_of
from app.api.service import Service, ServiceDep
from app.errors import HubelError
from app.runtime import classifier
from app.runtime.classifier import Classified

router = APIRouter(
    prefix="/api/v1",
    tags=["classify"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
    route_class=CachedRoute,
)


@router.post(
    "/classify",
    summary="What do these images show?",
    response_class=Response,
    responses={
        200: {
            "description": "A `Result` for one image; a `Batch` for several, or with `batch=true`.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Result"},
                            {"$ref": "#/components/schemas/Batch"},
                        ]
                    },
                    "example": EXAMPLE_RESULT,
                }
            },
        },
        **responses(
            errors.NotAnImage,
            errors.BadParameter,
            errors.UnknownModel,
            errors.BodyTooSlow,
            errors.TooManyBytes,
            errors.TooManyPixels,
            errors.TooManyFiles,
            errors.UnsupportedFormat,
            errors.BrokenImage,
            errors.QueueFull,
            errors.ModelNotReady,
            errors.DeadlinePassed,
        ),
    },
    openapi_extra={"requestBody": photo_body(several=True)},
)
async def classify(
    request: Request,
    service: ServiceDep,
    model: Annotated[str | None, Query(description="A model's name; unset: the default.")] = None,
    version: Annotated[int | None, Query(ge=1, description="Unset: the highest.")] = None,
    top_k: Annotated[int, Query(ge=1, description="How many predictions, at most.")] = 5,
    min_probability: Annotated[
        float, Query(ge=0, le=1, description="Leave out what is less probable.")
    ] = 0.0,
    batch: Annotated[bool, Query(description="Answer with a batch for one image, too.")] = False,
) -> Response:
    """Classify one image or several.

    One image is answered with a `Result`, an image that can't be used with a problem. Several
    are answered with a `Batch`, in order; there, a bad file fails alone.
    """
    served = admit(service, model, version)
    query = classifier.Query(top_k, min_probability)
    with service.buffer.hold() as held:
        photos = await read_photos(request, service, held)
        outcomes = await classify_photos(request, service, photos.files, served, query)
    request_id = facts_of(request.scope).request_id
    is_batch = batch or photos.several
    numbers = sum(len(one.predictions) for one in outcomes if isinstance(one, Classified))
    return await write_response(partial(_reply, outcomes, is_batch, service, request_id), numbers)


def _reply(
    outcomes: Sequence[Classified | BaseException],
    is_batch: bool,
    service: Service,
    request_id: str,
) -> Response:
    if is_batch:
        return _json(Batch(results=[_item(one, service, request_id) for one in outcomes]))
    if isinstance(outcomes[0], BaseException):
        raise outcomes[0]
    return _json(result_of(outcomes[0]))


def _item(
    outcome: Classified | BaseException, service: Service, request_id: str
) -> Result | Failure:
    """One place of a batch; what isn't expected fails the whole request."""
    if isinstance(outcome, HubelError):
        service.metrics.rejections(outcome.code).inc()
        return Failure(problem=problem_of(outcome, request_id))
    if isinstance(outcome, BaseException):
        raise outcome
    return result_of(outcome)


def _json(body: Result | Batch) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
