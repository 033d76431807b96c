"""POST /api/v1/explain: where in a photo a label comes from, as numbers or as a picture.

admit -> read the body -> inside, on the engine's threads, down to JSON or PNG -> bytes
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app import errors
from app.api.auth import require_key
from app.api.inference import admit, run_each
from app.api.problems import responses
from app.api.request.photos import photo_body, read_photos
from app.api.routes.inspection_response import (
    DECIMALS,
    PNG,
    ModelName,
    RenderedResponse,
    Version,
    image_info,
    render_response,
    response_docs,
    rounded_for_json,
    single_response,
    wants_png,
)
from app.api.schemas.inspection import EXAMPLE_EXPLAINED, Box, Explained
from app.api.service import ServiceDep
from app.runtime.inspection import Explanation, Inspector, label_index
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
)


@router.post(
    "/explain",
    summary="Where in this image does a label come from?",
    response_class=Response,
    responses=response_docs("Explained", EXAMPLE_EXPLAINED, "the map laid over the photo"),
    openapi_extra={"requestBody": photo_body(several=False)},
)
async def explain(
    request: Request,
    service: ServiceDep,
    model: ModelName = None,
    version: Version = None,
    label: Annotated[
        str | None,
        Query(description="A label's name, id or index; unset: the most probable."),
    ] = None,
) -> Response:
    """The class activation map of one label, as numbers or as a picture.

    A model whose head isn't pooled and linear is explained by occlusion, which `method` says.
    """
    served = admit(service, model, version)
    index = label_index(served, label)
    with service.buffer.hold() as held:
        photos = await read_photos(request, service, held)
        work = partial(
            _explain, service.inspector, photos.only(), served, index, wants_png(request)
        )
        outcomes = await run_each(request, service, [work], served)
    return single_response(outcomes[0])


def _explain(
    inspector: Inspector,
    photo: bytes,
    model: Model,
    label: int | None,
    picture: bool,
    queue_s: float,
) -> RenderedResponse:
    found = inspector.explain(photo, model, label, queue_s)
    crop = model.manifest.input.crop
    if picture:
        return render_response(model, found.stages, found.overlay(crop), PNG)
    body = Explained(
        model=model.name,
        version=model.version,
        label=model.manifest.labels[found.label].name,
        index=found.label,
        probability=round(float(found.probabilities[found.label]), DECIMALS),
        method=found.method,
        map=rounded_for_json(found.map).tolist(),
        bias=_maybe(found.bias),
        temperature=_maybe(found.temperature),
        box=_box(found, crop),
        image=image_info(found.prepared_photo),
    )
    return render_response(model, found.stages, body.model_dump_json().encode())


def _box(found: Explanation, crop: float) -> Box:
    """What part of the photo the map covers: the share `crop` of its centre square."""
    picture = found.prepared_photo.picture
    side = min(picture.width, picture.height) * crop
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    return Box(left=left, top=top, width=side, height=side)


def _maybe(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
