"""A response that is rendered to bytes on the engine's threads, because rendering is slow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from app import errors
from app.api.problems import openapi_responses
from app.api.schemas.classification import DECIMALS, Image, crop_info
from app.errors import BadParameter
from app.runtime.classifier import Stages
from app.runtime.crops import total
from app.runtime.inspection import PreparedPhoto
from app.runtime.loaded_model import Model
from app.vision import Crop

JSON, PNG = "application/json", "image/png"

INSPECTION_ERRORS = (
    errors.NotAnImage,
    errors.BadParameter,
    errors.ModelRequired,
    errors.UnknownModel,
    errors.NotInModel,
    errors.BodyTooSlow,
    errors.TooManyBytes,
    errors.TooManyPixels,
    errors.TooMuchMemory,
    errors.TooManyFiles,
    errors.UnsupportedFormat,
    errors.BrokenImage,
    errors.QueueFull,
    errors.ModelOutputInvalid,
    errors.ModelNotReady,
    errors.OutOfMemory,
    errors.DeadlinePassed,
)
"""The errors of embed, explain and activations."""


@dataclass(frozen=True, eq=False)
class RenderedResponse:
    """The response for one photo, with what metrics and log need."""

    model: str
    version: int
    stages: Stages
    body: bytes
    media_type: str

    def response(self) -> Response:
        """Return the HTTP response; its media type depends on the Accept header."""
        return Response(self.body, media_type=self.media_type, headers={"Vary": "Accept"})


def make_rendered_response(
    model: Model, stages: Stages, body: bytes, media_type: str = JSON
) -> RenderedResponse:
    """Return the response with its body, model and stage times."""
    return RenderedResponse(model.name, model.version, stages, body, media_type)


def join_crops(rendered: Sequence[RenderedResponse]) -> RenderedResponse:
    """Return one response for the crops of a photo; that of a single one as it is."""
    if len(rendered) == 1:
        return rendered[0]
    first = rendered[0]
    body = b'{"results":[' + b",".join(each.body for each in rendered) + b"]}"
    stages = total([each.stages for each in rendered])
    return RenderedResponse(first.model, first.version, stages, body, first.media_type)


def check_single_picture(crops: Sequence[Crop], as_png: bool) -> None:
    """Check that a request for a picture selects at most one part of its photo.

    Raises:
        BadParameter: it selects several, and a PNG shows one.
    """
    if as_png and len(crops) > 1:
        raise BadParameter(
            f"A picture shows one crop, and the request has {len(crops)}. Send one, or ask for "
            "JSON with the header Accept: application/json."
        )


def image_info(prepared: PreparedPhoto) -> Image:
    """Return the format and size of a photo's file."""
    picture = prepared.picture
    crop = crop_info(picture.crop)
    return Image(format=picture.format, width=picture.width, height=picture.height, crop=crop)


def response_docs(
    schema: str, example: dict[str, Any], picture: str
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of responses that are a `schema`, or `picture` as PNG."""
    return {
        200: {
            "description": f"`{schema}`, or `{schema}Crops` for several crops; with "
            f"`Accept: image/png`, {picture}.",
            "content": {
                JSON: {
                    "schema": {
                        "anyOf": [
                            {"$ref": f"#/components/schemas/{schema}"},
                            {"$ref": f"#/components/schemas/{schema}Crops"},
                        ]
                    },
                    "example": example,
                },
                PNG: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        **openapi_responses(*INSPECTION_ERRORS),
    }


def single_response(result: RenderedResponse | BaseException) -> Response:
    """Return the HTTP response for a request with one photo.

    Raises:
        HubelError: the photo failed; `result` is its error.
    """
    if isinstance(result, BaseException):
        raise result
    return result.response()


def rounded_for_json(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Round `values` to the decimal places of responses."""
    return values.astype(np.float64).round(DECIMALS)


def prefers_png(request: Request) -> bool:
    """Return whether the Accept header prefers a picture to JSON."""
    png_weight = json_weight = 0.0
    for media_range in request.headers.get("accept", "").split(","):
        media_type, *parameters = (part.strip().lower() for part in media_range.split(";"))
        weight = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if media_type in (PNG, "image/*"):
            png_weight = max(png_weight, weight)
        elif media_type in (JSON, "application/*"):
            json_weight = max(json_weight, weight)
    return png_weight > json_weight


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
