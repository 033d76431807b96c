"""POST /api/v1/explain and /api/v1/activations: why a model answers so, and what its layers see.

admit -> read the body -> inside, on the engine's threads, down to JSON or PNG -> bytes
"""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray

from app import errors
from app.api.answer import admit, answer_each
from app.api.auth import require_key
from app.api.inside_schemas import (
    EXAMPLE_ACTIVATIONS,
    EXAMPLE_EXPLAINED,
    Activations,
    Box,
    Channel,
    Explained,
    GridLayout,
    Scale,
)
from app.api.photos import Photos, photo_body, read_photos
from app.api.problems import responses
from app.api.rendered import JSON, PHOTO_ERRORS, PNG, Rendered, image_of, rendered, wants_png
from app.api.service import ServiceDep
from app.errors import BadParameter
from app.runtime.inside import (
    Explanation,
    Inside,
    Kernel,
    Maps,
    label_index,
)
from app.runtime.model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
)

_DECIMALS = 6
_MOST_VALUES = 250_000
"""In one answer; a map of the canvas has 230,400."""
_KERNEL = (
    "A filter of your own, as JSON: rows of numbers over the luminance, or three such for red, "
    "green and blue; at most 31 by 31. It runs over the 480 x 480 canvas, whose values are 0 to 1."
)

ModelName = Annotated[str | None, Query(description="A model's name; unset: the default.")]
Version = Annotated[int | None, Query(ge=1, description="Unset: the highest.")]


def _answers(schema: str, example: dict[str, Any], picture: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "description": f"`{schema}`; with `Accept: image/png`, {picture}.",
            "content": {
                JSON: {
                    "schema": {"$ref": f"#/components/schemas/{schema}"},
                    "example": example,
                },
                PNG: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        **responses(*PHOTO_ERRORS),
    }


@router.post(
    "/explain",
    summary="Where in this image does a label come from?",
    response_class=Response,
    responses=_answers("Explained", EXAMPLE_EXPLAINED, "the map laid over the photo"),
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
        work = partial(_explain, service.inside, photos.only(), served, index, wants_png(request))
        outcomes = await answer_each(request, service, [work], served)
    return _only(outcomes[0])


@router.post(
    "/activations",
    summary="What does a layer see in this image?",
    response_class=Response,
    responses=_answers("Activations", EXAMPLE_ACTIVATIONS, "the maps side by side"),
    openapi_extra={"requestBody": photo_body(several=False, fields={"kernel": _KERNEL})},
)
async def activations(
    request: Request,
    service: ServiceDep,
    model: ModelName = None,
    version: Version = None,
    layer: Annotated[
        str | None,
        Query(
            description="A layer, as GET /api/v1/models/{name} lists them; unset: the first "
            "convolution after its nonlinearity. `canvas` is the photo as the service reads it."
        ),
    ] = None,
    top: Annotated[
        int | None,
        Query(ge=1, description="So many maps, the most active first; unset: all, in order."),
    ] = None,
    kernel: Annotated[str | None, Query(description=_KERNEL)] = None,
    values: Annotated[
        bool, Query(description=f"Give the numbers, too; {_MOST_VALUES:,} at most.")
    ] = False,
) -> Response:
    """The activation maps of a layer as one picture with their statistics.

    With `kernel`, in the query or as a field of the form, a filter of your own instead of a layer.
    """
    served = admit(service, model, version)
    with service.buffer.hold() as held:
        photos = await read_photos(request, service, held)
        own = _own_kernel(kernel, photos, layer, top)
        inside, photo = service.inside, photos.only()
        ask = (
            partial(inside.activations, photo, served, layer, top)
            if own is None
            else partial(inside.own, photo, served, own)
        )
        work = partial(_activations, ask, served, values, wants_png(request))
        outcomes = await answer_each(request, service, [work], served)
    return _only(outcomes[0])


def _only(outcome: Rendered | BaseException) -> Response:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome.response()


def _own_kernel(
    query: str | None, photos: Photos, layer: str | None, top: int | None
) -> Kernel | None:
    field = photos.fields.get("kernel")
    field = field if field and field.strip() else None  # a form on a page sends it empty
    if query is None and field is None:
        return None
    if query is not None and field is not None:
        raise BadParameter("The kernel came twice. Send it in the query or as a field, not both.")
    if layer is not None or top is not None:
        raise BadParameter("A kernel has no layer and no top. Leave them out, or the kernel.")
    return Kernel.parse(query if query is not None else field or "")


def _explain(
    inside: Inside, photo: bytes, model: Model, label: int | None, picture: bool, queue_s: float
) -> Rendered:
    found = inside.explain(photo, model, label, queue_s)
    crop = model.manifest.input.crop
    if picture:
        return rendered(model, found.stages, found.overlay(crop), PNG)
    body = Explained(
        model=model.name,
        version=model.version,
        label=model.manifest.labels[found.label].name,
        index=found.label,
        probability=round(float(found.probabilities[found.label]), _DECIMALS),
        method=found.method,
        map=_rounded(found.map).tolist(),
        bias=_maybe(found.bias),
        temperature=_maybe(found.temperature),
        box=_box(found, crop),
        image=image_of(found.looked),
    )
    return rendered(model, found.stages, body.model_dump_json().encode())


def _activations(
    ask: Callable[[float], Maps], model: Model, values: bool, picture: bool, queue_s: float
) -> Rendered:
    found = ask(queue_s)
    if picture:
        return rendered(model, found.stages, found.png, PNG)
    body = Activations(
        model=model.name,
        version=model.version,
        layer=found.layer.name,
        op=found.layer.op,
        shape=list(found.layer.shape),
        channels=_channels(found),
        scale=Scale(low=round(found.scale[0], _DECIMALS), high=round(found.scale[1], _DECIMALS)),
        grid=GridLayout(**asdict(found.grid)),
        png=base64.b64encode(found.png).decode(),
        image=image_of(found.looked),
        values=None,
    )
    text = body.model_dump_json(exclude={"values"})
    numbers = _numbers(found.values) if values or not found.layer.is_map else "null"
    return rendered(model, found.stages, f'{text[:-1]},"values":{numbers}}}'.encode())


def _channels(found: Maps) -> list[Channel]:
    """The statistics of each map, for all of them at once."""
    flat = found.values.reshape(len(found.values), -1)
    table = np.stack(
        [flat.min(axis=1), flat.max(axis=1), flat.mean(axis=1), (flat > 0).mean(axis=1)]
    )
    places = flat.argmax(axis=1)
    width = found.values.shape[-1]
    return [
        Channel(
            channel=channel,
            min=low,
            max=high,
            mean=mean,
            active=active,
            strongest=[*divmod(int(place), width)] if found.layer.is_map else None,
        )
        for channel, (low, high, mean, active), place in zip(
            found.channels, _rounded(table.T).tolist(), places, strict=True
        )
    ]


def _numbers(values: NDArray[np.float32]) -> str:
    """Nested lists as JSON, a row at a time: the encoder lets no other thread in while it works.

    Raises:
        BadParameter: there are too many.
    """
    if values.size > _MOST_VALUES:
        raise BadParameter(
            f"These maps have {values.size:,} numbers; {_MOST_VALUES:,} are given at most. "
            "Ask for fewer maps with top."
        )
    if values.ndim == 1:
        return json.dumps(_rounded(values).tolist())
    return "[" + ",".join(_numbers(inner) for inner in values) + "]"


def _box(found: Explanation, crop: float) -> Box:
    """What part of the photo the map covers: the share `crop` of its centre square."""
    looked = found.looked
    side = min(looked.width, looked.height) * crop
    left, top = (looked.width - side) / 2, (looked.height - side) / 2
    return Box(left=left, top=top, width=side, height=side)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return values.astype(np.float64).round(_DECIMALS)


def _maybe(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
