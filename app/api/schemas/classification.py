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
    "familiarity": None,
    "unknown_score": None,
    "unknown_threshold": None,
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
            description="Whether the first prediction can be trusted. `unsure`: it is under the "
            "model's acceptance threshold. null if the model has no thresholds for this."
        ),
    ]
    familiarity: Annotated[
        float | None,
        Field(
            description="How like the training photos the photo is. Below `unknown_threshold`, "
            "the decision is `unknown`. null if the model has no threshold."
        ),
    ]
    unknown_score: Annotated[
        Literal["familiarity", "max_probability"] | None,
        Field(
            description="What `familiarity` is: an output of the model, which compares the photo "
            "with the training photos; or the highest probability."
        ),
    ]
    unknown_threshold: Annotated[
        float | None,
        Field(description="The request's `unknown_threshold`, or the model's own."),
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
    unknown = classified.unknown
    return Result(
        model=classified.model,
        version=classified.version,
        predictions=[
            Prediction(label=p.label, index=p.index, probability=round(p.probability, DECIMALS))
            for p in classified.predictions
        ],
        decision=classified.decision,
        familiarity=unknown.shown_value if unknown else None,
        unknown_score=unknown.name if unknown else None,
        unknown_threshold=unknown.threshold if unknown else None,
        image=Image(format=classified.format, width=classified.width, height=classified.height),
    )
