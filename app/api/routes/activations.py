"""POST /api/v1/activations: the activation maps of a layer, or of a kernel from the request.

read_request: admit, read body and parameters
-> run_each: the photo to JSON or PNG, on the engine's threads -> the response
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray
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
from app.api.schemas.inspection import EXAMPLE_ACTIVATIONS, Activations, Channel, GridLayout, Scale
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import BadParameter
from app.runtime.engine import Turn
from app.runtime.inspection import Inspector, Kernel, Maps, PreparedPhoto
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)

ComputeMaps = Callable[[PreparedPhoto, Turn], Maps]

_MAX_VALUES = 250_000
"""The most numbers in a response; a map of the canvas has 230,400."""
_KERNEL = (
    "Filter of your own as JSON, at most 31 by 31: rows of numbers for the luminance, or three "
    "such lists for red, green and blue. It is applied to the 480 x 480 canvas, whose values are "
    "0 to 1."
)


class ActivationsParameters(PhotoParameters):
    """The parameters of /api/v1/activations."""

    layer: Annotated[
        str | None,
        Field(
            description="Layer name, as listed by GET /api/v1/models/{name}. Unset: the first "
            "convolution after its nonlinearity. `canvas` is the photo as the service reads it."
        ),
    ] = None
    top: Annotated[
        int | None,
        Field(ge=1, description="Number of maps, the most active first. Unset: all, in order."),
    ] = None
    kernel: Annotated[str | None, Field(description=_KERNEL)] = None
    values: Annotated[
        bool, Field(description=f"Include the maps' values, at most {_MAX_VALUES:,} numbers.")
    ] = False


@router.post(
    "/activations",
    summary="Show a layer's activation maps for an image",
    response_class=Response,
    responses=response_docs("Activations", EXAMPLE_ACTIVATIONS, "the maps side by side"),
    openapi_extra={"requestBody": photo_body(ActivationsParameters, several=False)},
)
async def activations(
    request: Request,
    service: ServiceDep,
    query: Annotated[ActivationsParameters, Query()],
) -> Response:
    """Compute the activation maps of a layer, as one picture with statistics.

    With `kernel`, the maps come from your own filter instead of a layer.
    """
    with service.body_budget.hold() as share:
        admitted = await read_request(request, service, share, query)
        model, parameters = admitted.model, admitted.parameters
        as_png = prefers_png(request)
        check_single_picture(admitted.crops, as_png)
        photo = admitted.photos.single_photo()
        prepare = partial(service.inspector.prepare, photo, model, admitted.crops)
        compute = _maps_of(service.inspector, model, parameters)
        job = partial(_activations_crops, prepare, compute, model, parameters.values, as_png)
        results = await run_each(request, service, [job], model, crops=len(admitted.crops))
    return single_response(results[0])


def _maps_of(inspector: Inspector, model: Model, parameters: ActivationsParameters) -> ComputeMaps:
    """Return the function that makes the maps which the parameters request.

    Raises:
        BadParameter: the kernel is invalid, or came with `layer` or `top`.
    """
    kernel = _parse_kernel(parameters)

    def of_layer(photo: PreparedPhoto, turn: Turn) -> Maps:
        return inspector.activations(photo, model, parameters.layer, parameters.top, turn)

    def of_kernel(photo: PreparedPhoto, turn: Turn) -> Maps:
        assert kernel is not None
        return inspector.apply_kernel(photo, model, kernel, turn)

    return of_layer if kernel is None else of_kernel


def _parse_kernel(parameters: ActivationsParameters) -> Kernel | None:
    """Return the request's kernel; None if it has none.

    Raises:
        BadParameter: the kernel is invalid, or came with `layer` or `top`.
    """
    if parameters.kernel is None:
        return None
    if parameters.layer is not None or parameters.top is not None:
        raise BadParameter(
            "A kernel can't be combined with layer or top. Leave these out, or the kernel."
        )
    return Kernel.parse(parameters.kernel)


def _activations_crops(
    prepare: Callable[[Turn], Iterator[PreparedPhoto]],
    compute: ComputeMaps,
    model: Model,
    include_values: bool,
    as_png: bool,
    turn: Turn,
) -> RenderedResponse:
    return join_crops(
        [
            _activations(compute(photo, turn), model, include_values, as_png)
            for photo in prepare(turn)
        ]
    )


def _activations(maps: Maps, model: Model, include_values: bool, as_png: bool) -> RenderedResponse:
    if as_png:
        return make_rendered_response(model, maps.stages, maps.png, PNG)
    body = Activations(
        model=model.name,
        version=model.version,
        layer=maps.layer.name,
        op=maps.layer.op,
        shape=list(maps.layer.shape),
        channels=_channels(maps),
        scale=Scale(low=round(maps.scale[0], DECIMALS), high=round(maps.scale[1], DECIMALS)),
        grid=GridLayout(**asdict(maps.grid)),
        png=base64.b64encode(maps.png).decode(),
        image=image_info(maps.prepared_photo),
        values=None,
    )
    text = body.model_dump_json(exclude={"values"})
    values = _json_values(maps.values) if include_values or not maps.layer.is_map else "null"
    return make_rendered_response(model, maps.stages, f'{text[:-1]},"values":{values}}}'.encode())


def _channels(maps: Maps) -> list[Channel]:
    """Return the statistics of each map, computed for all maps at once."""
    flat = maps.values.reshape(len(maps.values), -1)
    statistics = np.stack(
        [flat.min(axis=1), flat.max(axis=1), flat.mean(axis=1), (flat > 0).mean(axis=1)]
    )
    positions = flat.argmax(axis=1)
    width = maps.values.shape[-1]
    return [
        Channel(
            channel=channel,
            min=low,
            max=high,
            mean=mean,
            active=active,
            strongest=[*divmod(int(position), width)] if maps.layer.is_map else None,
        )
        for channel, (low, high, mean, active), position in zip(
            maps.channels, rounded_for_json(statistics.T).tolist(), positions, strict=True
        )
    ]


def _json_values(values: NDArray[np.float32]) -> str:
    """Return `values` as nested JSON lists.

    Each row is encoded alone, because the JSON encoder holds the GIL while it works.

    Raises:
        BadParameter: there are more than 250,000 values.
    """
    if values.size > _MAX_VALUES:
        raise BadParameter(
            f"These maps have {values.size:,} numbers; at most {_MAX_VALUES:,} are returned. "
            "Request fewer maps with top."
        )
    if values.ndim == 1:
        return json.dumps(rounded_for_json(values).tolist())
    return "[" + ",".join(_json_values(inner) for inner in values) + "]"
