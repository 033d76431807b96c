"""The responses of /api/v1/classify."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.problem_details import Problem
from app.runtime.classifier import Classified

DECIMALS = 6
"""The decimal places of numbers in responses; a float32 has hardly more."""

EXAMPLE_RESULT: dict[str, Any] = {
    "model": "imagenet",
    "version": 1,
    "predictions": [
        {"label": "Egyptian cat", "index": 285, "probability": 0.661382},
        {"label": "tiger cat", "index": 282, "probability": 0.226730},
        {"label": "tabby", "index": 281, "probability": 0.102369},
    ],
    "decision": None,
    "image": {"format": "jpeg", "width": 451, "height": 300},
}


class Prediction(BaseModel):
    """A label and its probability."""

    label: str
    index: Annotated[int, Field(description="Position in the model's labels.")]
    probability: Annotated[float, Field(ge=0, le=1, description="Calibrated probability.")]


class Image(BaseModel):
    """The format and size of an image file."""

    format: Annotated[
        str,
        Field(description="Format, detected from the content: jpeg, png, webp, gif or bmp."),
    ]
    width: Annotated[int, Field(description="Width in pixels, as displayed.")]
    height: Annotated[int, Field(description="Height in pixels, as displayed.")]


class Result(BaseModel):
    """The classification of one image."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_RESULT]})

    model: str
    version: int
    predictions: Annotated[
        list[Prediction], Field(description="Predictions, the most probable first.")
    ]
    decision: Annotated[
        Literal["accepted", "unsure", "unknown"] | None,
        Field(
            description="Whether the first prediction can be trusted. null if the model has no "
            "thresholds for this."
        ),
    ]
    image: Image


class Failure(BaseModel):
    """The error of one file in a batch, in place of its result."""

    problem: Problem


class Batch(BaseModel):
    """The classifications of several images, in the order of the request."""

    results: list[Result | Failure]


def result_of(classified: Classified) -> Result:
    """Return the response for one classified image."""
    return Result(
        model=classified.model,
        version=classified.version,
        predictions=[
            Prediction(label=p.label, index=p.index, probability=round(p.probability, DECIMALS))
            for p in classified.predictions
        ],
        decision=classified.decision,
        image=Image(format=classified.format, width=classified.width, height=classified.height),
    )
