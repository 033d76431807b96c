"""The requests and responses of /api/v1/captures and /api/v1/feedback."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app import captures

MAX_IDS = 500
"""The most captures that one request may change."""

Label = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f;]*$"
    ),
]


class CapturedPrediction(BaseModel):
    """A label and its probability."""

    label: str
    probability: float


class Capture(BaseModel):
    """A photo that was kept, what the model said, and what people say."""

    id: int
    model: str
    version: int
    decision: Literal["accepted", "unsure", "unknown"] | None
    predictions: Annotated[
        list[CapturedPrediction], Field(description="The most probable labels, of at most five.")
    ]
    reason: Annotated[
        Literal["unsure", "unknown", "sample", "feedback"],
        Field(description="Why it was kept: its decision, by chance, or by feedback."),
    ]
    request_id: str
    index: Annotated[int, Field(description="Position among the photos of its request.")]
    captured_at: datetime
    sha256: Annotated[str, Field(description="Of the file that is kept.")]
    bytes: int
    format: str
    width: int
    height: int
    labels: Annotated[
        list[str] | None,
        Field(
            description="The labels that people gave it. Empty: none of the labels fits. null: "
            "nobody has said."
        ),
    ]
    wrong: Annotated[
        bool, Field(description="Whether somebody said that the prediction is wrong, and no more.")
    ]
    labelled_at: datetime | None
    labelled_by: Annotated[str | None, Field(description="Name of the key that gave the labels.")]


class CaptureList(BaseModel):
    """A page of captures."""

    captures: list[Capture]
    next: Annotated[
        str | None, Field(description="Send it as `after` for the next page. null: the last page.")
    ]


class Changed(BaseModel):
    """How many captures were changed or deleted."""

    changed: int


class Labels(BaseModel):
    """Labels of captures, or the statement that the prediction is wrong."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[Label | None, Field(description="One label.")] = None
    labels: Annotated[
        list[Label] | None,
        Field(max_length=100, description="Several labels; empty: none of the labels fits."),
    ] = None
    wrong: Annotated[
        bool, Field(description="The prediction is wrong; which label is right is not said.")
    ] = False

    @model_validator(mode="after")
    def _check_one_is_given(self) -> Self:
        given = (self.label is not None) + (self.labels is not None) + self.wrong
        if given > 1 or (not given and not self._may_be_empty()):
            raise ValueError("send label, labels or wrong, and only one of them")
        return self

    def _may_be_empty(self) -> bool:
        return False

    @property
    def names(self) -> Sequence[str] | None:
        """The labels; None: none is given."""
        return self.labels if self.label is None else [self.label]


class LabelChange(Labels):
    """The change of one capture."""

    labels: Annotated[
        list[Label] | None,
        Field(
            max_length=100,
            description="Several labels; empty: none of the labels fits; null takes labels back.",
        ),
    ] = None

    def _may_be_empty(self) -> bool:
        return "labels" in self.model_fields_set


class LabelChanges(LabelChange):
    """The same change of several captures."""

    ids: Annotated[
        list[Annotated[int, Field(ge=1, lt=1 << 63)]], Field(min_length=1, max_length=MAX_IDS)
    ]


class Feedback(Labels):
    """Labels for the photo of a request, or the statement that its prediction is wrong."""

    request_id: Annotated[
        str, Field(max_length=128, description="The `X-Request-ID` of the photo's response.")
    ]
    index: Annotated[
        int,
        Field(ge=0, lt=1 << 31, description="Position of the photo among those of its request."),
    ] = 0


class FeedbackKept(BaseModel):
    """The photo is kept. Its labels differ from those sent if a reviewer has labelled it."""

    request_id: str
    index: int
    model: str
    version: int
    labels: list[str] | None
    wrong: bool


def capture_response(capture: captures.Capture) -> Capture:
    """Return the response for a capture."""
    return Capture(
        id=capture.id,
        model=capture.model,
        version=capture.version,
        decision=capture.decision,  # type: ignore[arg-type]  # from our own database
        predictions=[
            CapturedPrediction(label=label, probability=probability)
            for label, probability in capture.predictions
        ],
        reason=capture.reason,
        request_id=capture.request_id,
        index=capture.index,
        captured_at=_time(capture.captured_ms),
        sha256=capture.sha256,
        bytes=capture.bytes,
        format=capture.format,
        width=capture.width,
        height=capture.height,
        labels=None if capture.labels is None else list(capture.labels),
        wrong=capture.wrong,
        labelled_at=None if capture.labelled_ms is None else _time(capture.labelled_ms),
        labelled_by=capture.labelled_by,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1e3, UTC)
