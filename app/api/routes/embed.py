"""POST /api/v1/embed: the embedding of one image or several.

read_request: admit, read body and parameters
-> run_each: a photo to its embedding as JSON, on the engine's threads -> the response
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from app.api.auth import KEY_ERRORS, require_key
from app.api.inference import failure_in_batch, run_each
from app.api.middleware.request_context import record_of
from app.api.middleware.route_cache import CachedRoute
from app.api.problems import openapi_responses
from app.api.request.parameters import BatchParameters
from app.api.request.photos import photo_body
from app.api.routes.photo_request import read_request
from app.api.routes.rendered_response import (
    INSPECTION_ERRORS,
    RenderedResponse,
    image_info,
    join_crops,
    make_rendered_response,
    rounded_for_json,
    single_response,
)
from app.api.schemas.inspection import EXAMPLE_EMBEDDED, Embedded
from app.api.service import Service, ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.runtime.engine import Turn
from app.runtime.inspection import Inspector, PreparedPhoto, require_embedding
from app.runtime.loaded_model import Model
from app.vision import Crop

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
    route_class=CachedRoute,
)


class EmbedParameters(BatchParameters):
    """The parameters of /api/v1/embed."""

    normalize: Annotated[
        bool,
        Field(
            description="Scale embeddings to the length 1, so that a dot product is a cosine "
            "similarity."
        ),
    ] = False


@router.post(
    "/embed",
    summary="Compute embeddings of images",
    response_class=Response,
    responses={
        200: {
            "description": "`Embedded` for one image; `EmbeddedBatch` for several images or crops, "
            "or with `batch=true`.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Embedded"},
                            {"$ref": "#/components/schemas/EmbeddedBatch"},
                        ]
                    },
                    "example": EXAMPLE_EMBEDDED,
                }
            },
        },
        **openapi_responses(*INSPECTION_ERRORS),
    },
    openapi_extra={"requestBody": photo_body(EmbedParameters, several=True)},
)
async def embed(
    request: Request,
    service: ServiceDep,
    query: Annotated[EmbedParameters, Query()],
) -> Response:
    """Compute the embedding of one image or several.

    The response for one image that can't be used is a problem. The response for several images, or
    several crops of one, is in the order of the request; a bad file fails alone.
    """
    with service.body_budget.hold() as share:
        admitted = await read_request(request, service, share, query, _check)
        model, parameters, photos = admitted.model, admitted.parameters, admitted.photos
        jobs = [
            partial(
                _embed_crops, service.inspector, photo, model, admitted.crops, parameters.normalize
            )
            for photo in photos.files
        ]
        results = await run_each(request, service, jobs, model, crops=len(admitted.crops))
    if len(admitted.crops) > 1:
        return single_response(results[0])  # the results of all crops
    if parameters.batch or photos.has_several:
        request_id = record_of(request.scope).request_id
        items = [_batch_item(result, service, request_id) for result in results]
        return Response(b'{"results":[' + b",".join(items) + b"]}", media_type="application/json")
    return single_response(results[0])


def _check(model: Model, parameters: EmbedParameters) -> None:
    require_embedding(model)


def _embed_crops(
    inspector: Inspector,
    photo: bytes,
    model: Model,
    crops: Sequence[Crop],
    normalize: bool,
    turn: Turn,
) -> RenderedResponse:
    prepared = inspector.prepare(photo, model, crops, turn)
    return join_crops([_embed(inspector, each, model, normalize, turn) for each in prepared])


def _embed(
    inspector: Inspector, photo: PreparedPhoto, model: Model, normalize: bool, turn: Turn
) -> RenderedResponse:
    embedding = inspector.embed(photo, model, normalize, turn)
    body = Embedded(
        model=model.name,
        version=model.version,
        normalized=normalize,
        embedding=rounded_for_json(embedding.vector).tolist(),
        image=image_info(embedding.prepared_photo),
    )
    return make_rendered_response(model, embedding.stages, body.model_dump_json().encode())


def _batch_item(
    result: RenderedResponse | BaseException, service: Service, request_id: str
) -> bytes:
    """Return the JSON of one result in a batch, or of its error."""
    if isinstance(result, BaseException):
        return failure_in_batch(result, service, request_id).model_dump_json().encode()
    return result.body
