"""An answer that is bytes already: what is slow to write is written on the engine's threads."""

from dataclasses import dataclass

from fastapi import Request, Response

from app import errors
from app.api.schemas import Image
from app.runtime.classifier import Stages
from app.runtime.inside import Looked
from app.runtime.model import Model

JSON, PNG = "application/json", "image/png"

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
class Rendered:
    """One photo, answered."""

    model: str
    version: int
    stages: Stages
    body: bytes
    media_type: str

    def response(self) -> Response:
        """As an answer of its own; what it is depends on what was asked for."""
        return Response(self.body, media_type=self.media_type, headers={"Vary": "Accept"})


def rendered(model: Model, stages: Stages, body: bytes, media_type: str = JSON) -> Rendered:
    """`body`, with whose answer it is."""
    return Rendered(model.name, model.version, stages, body, media_type)


def image_of(looked: Looked) -> Image:
    """What was found in the file."""
    return Image(format=looked.format, width=looked.width, height=looked.height)


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
