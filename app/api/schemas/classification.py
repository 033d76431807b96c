"""The responses of /api/v1/classify."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.problem_details import Problem
from app.runtime.classifier import Classified
from app.vision.crop import Pixels

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
    "image": {"format": "jpeg", "width": 451, "height": 300, "crop": None},
}


EXAMPLE_MULTI_LABEL_RESULT: dict[str, Any] = {
    **EXAMPLE_RESULT,
    "model": "pets",
    "predictions": [
        {"label": "cat", "index": 0, "probability": 0.971820, "accepted": True},
        {"label": "dog", "index": 1, "probability": 0.934417, "accepted": True},
        {"label": "bird", "index": 2, "probability": 0.020415, "accepted": False},
    ],
    "decision": "accepted",
    "familiarity": 0.83,
    "unknown_score": "familiarity",
    "unknown_threshold": 0.61,
}


class Prediction(BaseModel):
    """A label and its probability."""

    label: str
    index: Annotated[int, Field(description="Position in the model's labels.")]
    probability: Annotated[float, Field(ge=0, le=1, description="Calibrated probability.")]


class LabelPrediction(Prediction):
    """A label of a multi-label model, its probability, and whether it is accepted."""

    accepted: Annotated[
        bool, Field(description="Whether the probability reaches the label's threshold.")
    ]


class CropInfo(BaseModel):
    """A part of an image, in pixels as displayed."""

    x: int
    y: int
    width: int
    height: int


def crop_info(crop: Pixels | None) -> CropInfo | None:
    """Return the description of a crop, from its edges."""
    if crop is None:
        return None
    left, top, right, bottom = crop
    return CropInfo(x=left, y=top, width=right - left, height=bottom - top)


class Image(BaseModel):
    """The format and size of an image file, and the part of it that was used."""

    format: Annotated[
        str,
        Field(
            description="Format, detected from the content: jpeg, png, webp, gif, bmp, tiff, avif "
            "or heic."
        ),
    ]
    width: Annotated[int, Field(description="Width in pixels, as displayed.")]
    height: Annotated[int, Field(description="Height in pixels, as displayed.")]
    crop: Annotated[
        CropInfo | None,
        Field(description="Part of the image that the request selected. null: the whole."),
    ] = None


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


class MultiLabelResult(Result):
    """The classification of one image by a model for which an image may have several labels."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_MULTI_LABEL_RESULT]})

    predictions: Annotated[  # type: ignore[assignment]  # nothing is ever added to either list
        list[LabelPrediction],
        Field(
            description="Every label, the most probable first, unless the request has `top_k` or "
            "`min_probability`. Each probability is the label's own: they need not sum to 1."
        ),
    ]
    decision: Annotated[
        Literal["accepted", "unsure", "unknown"],
        Field(
            description="`unknown`: the image resembles no training photo. `unsure`: the "
            "probability of a label lies in the band that its calibration can't decide. "
            "`accepted`: neither, also where no label is accepted."
        ),
    ]


class Failure(BaseModel):
    """The error of one file in a batch, in place of its result."""

    problem: Problem


class Batch(BaseModel):
    """The classifications of several images, in the order of the request."""

    results: list[Result | MultiLabelResult | Failure]


def result_of(classified: Classified) -> Result | MultiLabelResult:
    """Return the response for one classified image."""
    unknown = classified.unknown
    if classified.task == "multi_label":
        return _multi_label_result(classified)
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
        image=image_of(classified),
    )


def _multi_label_result(classified: Classified) -> MultiLabelResult:
    unknown = classified.unknown
    assert classified.decision is not None
    return MultiLabelResult(
        model=classified.model,
        version=classified.version,
        predictions=[
            LabelPrediction(
                label=p.label,
                index=p.index,
                probability=round(p.probability, DECIMALS),
                accepted=bool(p.accepted),
            )
            for p in classified.predictions
        ],
        decision=classified.decision,
        familiarity=unknown.shown_value if unknown else None,
        unknown_score=unknown.name if unknown else None,
        unknown_threshold=unknown.threshold if unknown else None,
        image=image_of(classified),
    )


def image_of(classified: Classified) -> Image:
    """Return the format and size of a classified image."""
    return Image(
        format=classified.format,
        width=classified.width,
        height=classified.height,
        crop=crop_info(classified.crop),
    )
