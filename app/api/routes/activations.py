"""POST /api/v1/activations: what a layer, or a filter of the user's own, makes of a photo.

admit -> read the body -> inside, on the engine's threads, down to JSON or PNG -> bytes
"""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray

from app import errors
from app.api.auth import require_key
from app.api.inference import admit, run_each
from app.api.problems import responses
from app.api.request.photos import Photos, photo_body, read_photos
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
from app.api.schemas.inspection import EXAMPLE_ACTIVATIONS, Activations, Channel, GridLayout, Scale
from app.api.service import ServiceDep
from app.errors import BadParameter
from app.runtime.inspection import Kernel, Maps
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1",
    tags=["look inside"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
)

_MOST_VALUES = 250_000
"""In one answer; a map of the canvas has 230,400."""
_KERNEL = (
    "A filter of your own, as JSON: rows of numbers over the luminance, or three such for red, "
    "green and blue; at most 31 by 31. It runs over the 480 x 480 canvas, whose values are 0 to 1."
)


@router.post(
    "/activations",
    summary="What does a layer see in this image?",
    response_class=Response,
    responses=response_docs("Activations", EXAMPLE_ACTIVATIONS, "the maps side by side"),
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
        inspector, photo = service.inspector, photos.only()
        ask = (
            partial(inspector.activations, photo, served, layer, top)
            if own is None
            else partial(inspector.apply_kernel, photo, served, own)
        )
        work = partial(_activations, ask, served, values, wants_png(request))
        outcomes = await run_each(request, service, [work], served)
    return single_response(outcomes[0])


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


def _activations(
    ask: Callable[[float], Maps], model: Model, values: bool, picture: bool, queue_s: float
) -> RenderedResponse:
    found = ask(queue_s)
    if picture:
        return render_response(model, found.stages, found.png, PNG)
    body = Activations(
        model=model.name,
        version=model.version,
        layer=found.layer.name,
        op=found.layer.op,
        shape=list(found.layer.shape),
        channels=_channels(found),
        scale=Scale(low=round(found.scale[0], DECIMALS), high=round(found.scale[1], DECIMALS)),
        grid=GridLayout(**asdict(found.grid)),
        png=base64.b64encode(found.png).decode(),
        image=image_info(found.prepared_photo),
        values=None,
    )
    text = body.model_dump_json(exclude={"values"})
    numbers = _numbers(found.values) if values or not found.layer.is_map else "null"
    return render_response(model, found.stages, f'{text[:-1]},"values":{numbers}}}'.encode())


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
            found.channels, rounded_for_json(table.T).tolist(), places, strict=True
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
        return json.dumps(rounded_for_json(values).tolist())
    return "[" + ",".join(_numbers(inner) for inner in values) + "]"
