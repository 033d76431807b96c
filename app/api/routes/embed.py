"""POST /api/v1/embed: the vector that the last layer reads, of one image or of several.

admit -> read the body -> each photo on the engine's threads, down to its JSON -> bytes
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app import errors
from app.api.auth import require_key
from app.api.inference import admit, run_each
from app.api.middleware.request_context import facts_of
from app.api.middleware.route_cache import CachedRoute
from app.api.problems import problem_of, responses
from app.api.request.photos import photo_body, read_photos
from app.api.routes.inspection_response import (
    PHOTO_ERRORS,
    ModelName,
    RenderedResponse,
    Version,
    image_info,
    render_response,
    rounded_for_json,
)
from app.api.schemas.classification import Failure
from app.api.schemas.inspection import EXAMPLE_EMBEDDED, Embedded
from app.api.service import Service, ServiceDep
from app.errors import HubelError
from app.runtime.inspection import Inspector, require_embedding
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
    route_class=CachedRoute,
)


@router.post(
    "/embed",
    summary="What vectors do these images have?",
    response_class=Response,
    responses={
        200: {
            "description": "`Embedded` for one image; `EmbeddedBatch` for several, or with "
            "`batch=true`.",
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
        **responses(*PHOTO_ERRORS),
    },
    openapi_extra={"requestBody": photo_body(several=True)},
)
async def embed(
    request: Request,
    service: ServiceDep,
    model: ModelName = None,
    version: Version = None,
    normalize: Annotated[
        bool, Query(description="Bring its length to 1, so that a dot product is a cosine.")
    ] = False,
    batch: Annotated[bool, Query(description="Answer with a batch for one image, too.")] = False,
) -> Response:
    """The embedding of one image or of several.

    One image that can't be used is answered with a problem. Several are answered in order; there,
    a bad file fails alone.
    """
    served = admit(service, model, version)
    require_embedding(served)
    with service.buffer.hold() as held:
        photos = await read_photos(request, service, held)
        works = [partial(_embed, service.inspector, f, served, normalize) for f in photos.files]
        outcomes = await run_each(request, service, works, served)
    if batch or photos.several:
        request_id = facts_of(request.scope).request_id
        items = [_item(outcome, service, request_id) for outcome in outcomes]
        return Response(b'{"results":[' + b",".join(items) + b"]}", media_type="application/json")
    if isinstance(outcomes[0], BaseException):
        raise outcomes[0]
    return outcomes[0].response()


def _embed(
    inspector: Inspector, photo: bytes, model: Model, normalize: bool, queue_s: float
) -> RenderedResponse:
    found = inspector.embed(photo, model, normalize, queue_s)
    body = Embedded(
        model=model.name,
        version=model.version,
        normalized=normalize,
        embedding=rounded_for_json(found.vector).tolist(),
        image=image_info(found.prepared_photo),
    )
    return render_response(model, found.stages, body.model_dump_json().encode())


def _item(outcome: RenderedResponse | BaseException, service: Service, request_id: str) -> bytes:
    """One place of a batch; what isn't expected fails the whole request."""
    if isinstance(outcome, HubelError):
        service.metrics.rejections(outcome.code).inc()
        return Failure(problem=problem_of(outcome, request_id)).model_dump_json().encode()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome.body
