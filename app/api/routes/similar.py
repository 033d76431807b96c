"""POST /api/v1/similar: the photos of an index that are most similar to an image.

read_request: the index and its model, admit, read body and parameters
-> run_each: a photo to its embedding, to its neighbours as JSON, on the engine's threads
-> together: the embeddings of all -> their mean -> its neighbours, on a thread
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.inference import failure_in_batch, run_each
from app.api.middleware.request_context import record_of
from app.api.middleware.route_cache import CachedRoute
from app.api.problems import openapi_responses
from app.api.request.parameters import BatchParameters
from app.api.request.photos import photo_body
from app.api.response_memory import take_response
from app.api.routes.photo_request import read_request
from app.api.routes.rendered_response import (
    INSPECTION_ERRORS,
    RenderedResponse,
    join_crops,
    single_response,
)
from app.api.routes.similar_response import similar_json
from app.api.schemas.similar import EXAMPLE_SIMILAR
from app.api.service import Service, ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import UnknownIndex
from app.runtime import classifier, crops
from app.runtime.classifier import Classified, Stages
from app.runtime.engine import Turn
from app.runtime.loaded_model import Model
from app.runtime.served_indexes import ServedIndex, ServedIndexes
from app.vector_index.neighbours import to_unit_length
from app.vision import Crop, Limits

MAX_COUNT = 100
_PATH_BYTES, _THUMBNAIL_BYTES = 1_000, 30_000
"""Bytes of a result in the response, without and with its thumbnail, at most as is usual."""

router = APIRouter(
    prefix="/api/v1",
    tags=["similar photos"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
    route_class=CachedRoute,
)


class SimilarParameters(BatchParameters):
    """The parameters of /api/v1/similar."""

    model: Annotated[
        str | None, Field(description="Model name. Unset: the model that made the index.")
    ] = None
    version: Annotated[
        int | None,
        Field(ge=1, description="Model version. Unset: the version that made the index."),
    ] = None
    index: Annotated[
        str | None, Field(description="Index name. Unset: the only one, or that of the model.")
    ] = None
    count: Annotated[
        int, Field(ge=1, le=MAX_COUNT, description="Number of similar photos, at most.")
    ] = 10
    together: Annotated[
        bool,
        Field(
            description="Return one list, of the photos that are most similar to all images or "
            "crops of the request: to the mean of their embeddings."
        ),
    ] = False
    thumbnails: Annotated[bool, Field(description="Return the thumbnails that the index has.")] = (
        False
    )


@dataclass(frozen=True, eq=False)
class Embedded:
    """The embeddings of a photo, or of its crops, with what metrics and log need."""

    results: Sequence[Classified]
    model: str
    version: int
    stages: Stages


@router.post(
    "/similar",
    summary="Search for similar photos",
    response_class=Response,
    responses={
        200: {
            "description": "`Similar` for one image, or with `together=true`; `SimilarBatch` for "
            "several images or crops, or with `batch=true`.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Similar"},
                            {"$ref": "#/components/schemas/SimilarBatch"},
                        ]
                    },
                    "example": EXAMPLE_SIMILAR,
                }
            },
        },
        **openapi_responses(*INSPECTION_ERRORS, errors.UnknownIndex, errors.IndexInvalid),
    },
    openapi_extra={"requestBody": photo_body(SimilarParameters, several=True)},
)
async def similar(
    request: Request,
    service: ServiceDep,
    query: Annotated[SimilarParameters, Query()],
) -> Response:
    """Search an index for the photos that are most similar to an image, or to several.

    The response for several images, or several crops of one, is in the order of the request; a bad
    file fails alone. With `together=true` it is one list for all of them, and a bad file fails the
    request.
    """
    indexes = _indexes(service)
    with service.body_budget.hold() as share:
        admitted = await read_request(
            request, service, share, query, select=partial(_select, indexes)
        )
        parameters, photos = admitted.parameters, admitted.photos
        served, model = indexes.find(parameters.index, admitted.model.name, admitted.model.version)
        images = max(len(photos.files), len(admitted.crops))
        _take_response(request, service, parameters, images)
        limits, parts = service.classifier.limits, admitted.crops
        if parameters.together:
            embed = [partial(_embed, photo, model, parts, limits) for photo in photos.files]
            embedded = await run_each(request, service, embed, model, crops=len(parts))
            return await _together(embedded, served, parameters)
        search = [
            partial(_search, served, parameters, photo, model, parts, limits)
            for photo in photos.files
        ]
        results = await run_each(request, service, search, model, crops=len(parts))
    if len(admitted.crops) > 1:
        return single_response(results[0])  # the results of all crops
    if parameters.batch or photos.has_several:
        request_id = record_of(request.scope).request_id
        items = [_batch_item(result, service, request_id) for result in results]
        return Response(b'{"results":[' + b",".join(items) + b"]}", media_type="application/json")
    return single_response(results[0])


def _indexes(service: Service) -> ServedIndexes:
    if service.indexes is None:
        raise UnknownIndex(
            "The service has no index of photos. Make one with `hubel index`, and start the "
            "service with --index."
        )
    return service.indexes


def _select(indexes: ServedIndexes, parameters: SimilarParameters) -> tuple[str, int]:
    """Return the model of the index that the request selects."""
    _, model = indexes.find(parameters.index, parameters.model, parameters.version)
    return model.name, model.version


def _take_response(
    request: Request, service: Service, parameters: SimilarParameters, images: int
) -> None:
    lists = 1 if parameters.together else images
    each = _THUMBNAIL_BYTES if parameters.thumbnails else _PATH_BYTES
    take_response(
        service.memory_budget,
        record_of(request.scope),
        lists * parameters.count * each,
        "Request fewer photos with count, or send fewer images at once.",
    )


def _embed(
    photo: bytes, model: Model, parts: Sequence[Crop], limits: Limits, turn: Turn
) -> Embedded:
    """Return the embeddings of a photo, or of the parts of it, as classification makes them."""
    query = classifier.Query(top_k=1, embedding=True)
    if len(parts) > 1:
        found = crops.classify_crops(photo, model, query, parts, limits, turn)
        return Embedded(found.results, model.name, model.version, found.stages)
    if parts:
        query = replace(query, crop=parts[0])
    result = classifier.classify(photo, model, query, limits, turn)
    return Embedded([result], model.name, model.version, result.stages)


def _search(
    served: ServedIndex,
    parameters: SimilarParameters,
    photo: bytes,
    model: Model,
    parts: Sequence[Crop],
    limits: Limits,
    turn: Turn,
) -> RenderedResponse:
    """Return the neighbours of a photo, or of each of its parts, as JSON."""
    embedded = _embed(photo, model, parts, limits, turn)
    turn.check("run")
    return join_crops(
        [
            RenderedResponse(
                model.name,
                model.version,
                result.stages,
                similar_json(
                    served,
                    _vector(result),
                    parameters.count,
                    thumbnails=parameters.thumbnails,
                    image=result,
                ),
                "application/json",
            )
            for result in embedded.results
        ]
    )


def _vector(result: Classified) -> NDArray[np.float32]:
    assert result.embedding is not None
    return result.embedding


async def _together(
    results: Sequence[Embedded | BaseException],
    served: ServedIndex,
    parameters: SimilarParameters,
) -> Response:
    """Return the neighbours of the mean of all embeddings, each of length 1.

    Raises:
        HubelError: one of the photos can't be used.
    """
    vectors = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        vectors += [_vector(each) for each in result.results]
    mean = to_unit_length(np.stack(vectors)).mean(axis=0)
    body = await asyncio.to_thread(
        similar_json, served, mean, parameters.count, thumbnails=parameters.thumbnails
    )
    return Response(body, media_type="application/json")


def _batch_item(
    result: RenderedResponse | BaseException, service: Service, request_id: str
) -> bytes:
    """Return the JSON of one result in a batch, or of its error."""
    if isinstance(result, BaseException):
        return failure_in_batch(result, service, request_id).model_dump_json().encode()
    return result.body
