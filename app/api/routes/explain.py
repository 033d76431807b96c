"""POST /api/v1/explain: the parts of a photo that contribute to a label, as numbers or a picture.

read_request: admit, read body and parameters
-> run_each: the photo to JSON or PNG, on the engine's threads -> the response
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from app.api.auth import KEY_ERRORS, require_key
from app.api.inference import run_each
from app.api.problems import openapi_responses
from app.api.request.parameters import PhotoParameters
from app.api.request.photos import photo_body
from app.api.routes.photo_request import read_request
from app.api.routes.rendered_response import (
    PNG,
    RenderedResponse,
    check_single_picture,
    image_info,
    join_crops,
    make_rendered_response,
    prefers_png,
    response_docs,
    rounded_for_json,
    single_response,
)
from app.api.schemas.classification import DECIMALS
from app.api.schemas.inspection import EXAMPLE_EXPLAINED, Box, Explained
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.runtime.engine import Turn
from app.runtime.inspection import Explanation, Inspector, PreparedPhoto, label_index
from app.runtime.loaded_model import Model
from app.vision import Crop

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)


class ExplainParameters(PhotoParameters):
    """The parameters of /api/v1/explain."""

    label: Annotated[
        str | None,
        Field(description="Label name, id or index. Unset: the most probable label."),
    ] = None


@router.post(
    "/explain",
    summary="Show which parts of an image contribute to a label",
    response_class=Response,
    responses=response_docs("Explained", EXAMPLE_EXPLAINED, "the map overlaid on the photo"),
    openapi_extra={"requestBody": photo_body(ExplainParameters, several=False)},
)
async def explain(
    request: Request,
    service: ServiceDep,
    query: Annotated[ExplainParameters, Query()],
) -> Response:
    """Compute the class activation map of one label, as numbers or as a picture.

    If the model's head is not pooled and linear, the map is computed by occlusion. The field
    `method` names the method.
    """
    with service.body_budget.hold() as share:
        admitted = await read_request(request, service, share, query, _label_index)
        as_png = prefers_png(request)
        check_single_picture(admitted.crops, as_png)
        job = partial(
            _explain_crops,
            service.inspector,
            admitted.photos.single_photo(),
            admitted.model,
            admitted.crops,
            _label_index(admitted.model, admitted.parameters),
            as_png,
        )
        results = await run_each(request, service, [job], admitted.model, crops=len(admitted.crops))
    return single_response(results[0])


def _label_index(model: Model, parameters: ExplainParameters) -> int | None:
    """Return the index of the requested label, or None.

    Raises:
        NotInModel: the model has no such label.
    """
    return label_index(model, parameters.label)


def _explain_crops(
    inspector: Inspector,
    photo: bytes,
    model: Model,
    crops: Sequence[Crop],
    label: int | None,
    as_png: bool,
    turn: Turn,
) -> RenderedResponse:
    prepared = inspector.prepare(photo, model, crops, turn)
    return join_crops([_explain(inspector, each, model, label, as_png, turn) for each in prepared])


def _explain(
    inspector: Inspector,
    photo: PreparedPhoto,
    model: Model,
    label: int | None,
    as_png: bool,
    turn: Turn,
) -> RenderedResponse:
    explanation = inspector.explain(photo, model, label, turn)
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
    """Return the part of the photo that the map covers."""
    left, top, right, bottom = explanation.box(crop)
    return Box(left=left, top=top, width=right - left, height=bottom - top)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
