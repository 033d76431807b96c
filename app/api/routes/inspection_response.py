"""An answer that is bytes already: what is slow to write is written on the engine's threads."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import Query, Request, Response
from numpy.typing import NDArray

from app import errors
from app.api.problems import responses
from app.api.schemas.classification import Image
from app.runtime.classifier import Stages
from app.runtime.inspection import PreparedPhoto
from app.runtime.loaded_model import Model

JSON, PNG = "application/json", "image/png"
DECIMALS = 6
"""Of a number in an answer; a float32 has hardly more."""

ModelName = Annotated[str | None, Query(description="A model's name; unset: the default.")]
Version = Annotated[int | None, Query(ge=1, description="Unset: the highest.")]

PHOTO_ERRORS = (
    errors.NotAnImage,
    errors.BadParameter,
    errors.UnknownModel,
    errors.NotInModel,
    errors.BodyTooSlow,
    errors.TooManyBytes,
    errors.TooManyPixels,
    errors.TooManyFiles,
    errors.UnsupportedFormat,
    errors.BrokenImage,
    errors.QueueFull,
    errors.ModelNotReady,
    errors.DeadlinePassed,
)
"""What a question about the inside, with a photo, may be answered with."""


@dataclass(frozen=True, eq=False)
class RenderedResponse:
    """One photo, answered."""

    model: str
    version: int
    stages: Stages
    body: bytes
    media_type: str

    def response(self) -> Response:
        """As an answer of its own; what it is depends on what was asked for."""
        return Response(self.body, media_type=self.media_type, headers={"Vary": "Accept"})


def render_response(
    model: Model, stages: Stages, body: bytes, media_type: str = JSON
) -> RenderedResponse:
    """`body`, with whose answer it is."""
    return RenderedResponse(model.name, model.version, stages, body, media_type)


def image_info(prepared: PreparedPhoto) -> Image:
    """What was found in the file."""
    picture = prepared.picture
    return Image(format=picture.format, width=picture.width, height=picture.height)


def response_docs(
    schema: str, example: dict[str, Any], picture: str
) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of answers that are a `schema`, or `picture` as PNG."""
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


def single_response(outcome: RenderedResponse | BaseException) -> Response:
    """The answer to a question about one photo.

    Raises:
        HubelError: what became of it instead.
    """
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome.response()


def rounded_for_json(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers as an answer writes them."""
    return values.astype(np.float64).round(DECIMALS)


def wants_png(request: Request) -> bool:
    """Whether the Accept header prefers a picture; JSON is what is given without a wish."""
    picture = json = 0.0
    for part in request.headers.get("accept", "").split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if kind in (PNG, "image/*"):
            picture = max(picture, weight)
        elif kind in (JSON, "application/*"):
            json = max(json, weight)
    return picture > json


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
