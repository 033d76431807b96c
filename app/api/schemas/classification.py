"""The answers of Hubel's own API, as OpenAPI shows them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.problem_details import Problem
from app.runtime.catalogue import Entry
from app.runtime.classifier import Classified
from app.runtime.registry import Registry

_DECIMALS = 6
"""Of a probability in an answer; a float32 has hardly more."""
REPORT = "report/index.html"
"""The file of a bundle that training tells people of the model in."""

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
    """One label and its probability."""

    label: str
    index: Annotated[int, Field(description="Position in the model's labels.")]
    probability: Annotated[float, Field(ge=0, le=1, description="Calibrated.")]


class Image(BaseModel):
    """What was found in the file."""

    format: Annotated[str, Field(description="Told from the content: jpeg, png, webp, gif, bmp.")]
    width: Annotated[int, Field(description="In pixels, as displayed.")]
    height: Annotated[int, Field(description="In pixels, as displayed.")]


class Result(BaseModel):
    """What one image shows."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_RESULT]})

    model: str
    version: int
    predictions: Annotated[list[Prediction], Field(description="Most probable first.")]
    decision: Annotated[
        Literal["accepted", "unsure", "unknown"] | None,
        Field(
            description="Whether to trust the first prediction; null where the model has no rule."
        ),
    ]
    image: Image


class Failure(BaseModel):
    """What stands in place of a result for a file that failed alone."""

    problem: Problem


class Batch(BaseModel):
    """What several images show, in the order in which they were sent."""

    results: list[Result | Failure]


class ModelSummary(BaseModel):
    """One model in one version."""

    name: str
    version: Annotated[int | None, Field(description="null where bundle.json can't be read.")]
    state: Literal["ready", "unloaded", "refused"]
    default: Annotated[bool, Field(description="Answers requests that name no model.")]
    serving: Annotated[bool, Field(description="Answers requests that name no version.")]
    precision: Annotated[str | None, Field(description="What serves here: fp32 or int8.")]
    device: str | None
    labels: Annotated[int | None, Field(description="How many.")]
    reason: Annotated[str | None, Field(description="Why its folder, as it is now, is refused.")]
    notes: Annotated[list[str], Field(description="What an operator should know.")]
    report: Annotated[bool, Field(description="Whether there is a training report.")]


class ModelList(BaseModel):
    """All models, those that were refused too."""

    default: str
    models: list[ModelSummary]


class Readiness(BaseModel):
    """Whether requests should be sent here."""

    status: Literal["ready", "not ready", "draining"]
    reason: Annotated[str | None, Field(description="Why it is not ready.")]
    device: str
    device_note: str | None
    default: str
    models: list[ModelSummary]


def result_of(classified: Classified) -> Result:
    """The answer for one image."""
    return Result(
        model=classified.model,
        version=classified.version,
        predictions=[
            Prediction(label=p.label, index=p.index, probability=round(p.probability, _DECIMALS))
            for p in classified.predictions
        ],
        decision=classified.decision,
        image=Image(format=classified.format, width=classified.width, height=classified.height),
    )


def summary_of(entry: Entry, registry: Registry) -> ModelSummary:
    """The answer for one model."""
    return ModelSummary(**_summary(entry, registry))


def _summary(entry: Entry, registry: Registry) -> dict[str, Any]:
    model = entry.model
    return {
        "name": entry.name,
        "version": entry.version,
        "state": entry.state,
        "default": entry.name == registry.default,
        "serving": registry.serves(entry),
        "precision": model.session.precision if model else None,
        "device": model.session.device if model else None,
        "labels": len(model.manifest.labels) if model else None,
        "reason": entry.reason,
        "notes": list(model.notes) if model else [],
        "report": model is not None and REPORT in model.manifest.files,
    }
