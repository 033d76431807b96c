"""POST /api/v1/explain: the parts of a photo that contribute to a label, as numbers or a picture.

admit -> read the body -> run_each: the photo to JSON or PNG, on the engine's threads
-> the response
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app import errors
from app.api.auth import require_key
from app.api.inference import admit, run_each
from app.api.problems import openapi_responses
from app.api.request.parameters import ModelName, Version
from app.api.request.photos import photo_body, read_photos
from app.api.routes.rendered_response import (
    PNG,
    RenderedResponse,
    image_info,
    make_rendered_response,
    prefers_png,
    response_docs,
    rounded_for_json,
    single_response,
)
from app.api.schemas.classification import DECIMALS
from app.api.schemas.inspection import EXAMPLE_EXPLAINED, Box, Explained
from app.api.service import ServiceDep
from app.runtime.inspection import Explanation, Inspector, label_index
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key)],
    responses=openapi_responses(errors.Unauthenticated),
)


@router.post(
    "/explain",
    summary="Show which parts of an image contribute to a label",
    response_class=Response,
    responses=response_docs("Explained", EXAMPLE_EXPLAINED, "the map overlaid on the photo"),
    openapi_extra={"requestBody": photo_body(several=False)},
)
async def explain(
    request: Request,
    service: ServiceDep,
    model: ModelName = None,
    version: Version = None,
    label: Annotated[
        str | None,
        Query(description="Label name, id or index. Unset: the most probable label."),
    ] = None,
) -> Response:
    """Compute the class activation map of one label, as numbers or as a picture.

    If the model's head is not pooled and linear, the map is computed by occlusion. The field
    `method` names the method.
    """
    selected_model = admit(service, model, version)
    index = label_index(selected_model, label)
    with service.memory_budget.hold() as share:
        photos = await read_photos(request, service, share)
        job = partial(
            _explain,
            service.inspector,
            photos.single_photo(),
            selected_model,
            index,
            prefers_png(request),
        )
        results = await run_each(request, service, [job], selected_model)
    return single_response(results[0])


def _explain(
    inspector: Inspector,
    photo: bytes,
    model: Model,
    label: int | None,
    as_png: bool,
    queue_s: float,
) -> RenderedResponse:
    explanation = inspector.explain(photo, model, label, queue_s)
    crop = model.manifest.input.crop
    if as_png:
        return make_rendered_response(model, explanation.stages, explanation.overlay(crop), PNG)
    body = Explained(
        model=model.name,
        version=model.version,
        label=model.manifest.labels[explanation.label].name,
        index=explanation.label,
        probability=round(float(explanation.probabilities[explanation.label]), DECIMALS),
        method=explanation.method,
        map=rounded_for_json(explanation.map).tolist(),
        bias=_rounded(explanation.bias),
        temperature=_rounded(explanation.temperature),
        box=_box(explanation, crop),
        image=image_info(explanation.prepared_photo),
    )
    return make_rendered_response(model, explanation.stages, body.model_dump_json().encode())


def _box(explanation: Explanation, crop: float) -> Box:
    """Return the part of the photo that the map covers: `crop` of the centre square's side."""
    picture = explanation.prepared_photo.picture
    side = min(picture.width, picture.height) * crop
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    return Box(left=left, top=top, width=side, height=side)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
