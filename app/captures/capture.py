"""Captures: photos with the results of their requests, and the labels that people gave."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.vision.crop import Pixels

Reason = Literal["unsure", "unknown", "sample", "feedback"]
"""Why a photo was kept."""
Order = Literal["newest", "unsure"]
"""`unsure`: the least confident first."""
ReviewOrder = Literal["newest", "unsure", "varied"]
"""`varied`: those that teach most first; see app.captures.review_order."""


class Prediction(NamedTuple):
    """A label and its calibrated probability, from 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, eq=False)
class NewCapture:
    """A photo that is to be kept, with the result of its request."""

    data: bytes
    """The file, as it was sent."""
    format: str
    width: int
    height: int
    """As displayed, in pixels."""
    request_id: str
    index: int
    """The photo's position among those of its request."""
    model: str
    version: int
    decision: str | None
    predictions: tuple[Prediction, ...]
    """The most probable first; at least one."""
    reason: Reason
    captured_ms: int
    """Milliseconds since 1970, UTC."""
    crop: Pixels | None = None
    """The part of the file that the request selected, which alone is kept; None: the whole."""
    features: NDArray[np.float32] | None = None
    """(D,), alike for photos that look alike to the model; None: unknown."""

    @property
    def held_bytes(self) -> int:
        """The memory that it takes until it is stored."""
        return len(self.data) + (0 if self.features is None else self.features.nbytes)


@dataclass(frozen=True)
class Capture:
    """A photo in the store."""

    id: int
    sha256: str
    bytes: int
    """Of the stored file."""
    format: str
    width: int
    height: int
    request_id: str
    index: int
    model: str
    version: int
    decision: str | None
    predictions: tuple[Prediction, ...]
    reason: Reason
    captured_ms: int
    labels: tuple[str, ...] | None
    """The labels that people gave it; empty: none of the labels fits; None: nobody has said."""
    wrong: bool
    """Whether somebody said that the prediction is wrong, without a label."""
    labelled_ms: int | None
    labelled_by: str | None
    """The name of the key; None if it has none."""


@dataclass(frozen=True)
class Filter:
    """Which captures are listed; None: all."""

    model: str | None = None
    decision: str | None = None
    label: str | None = None
    """A label that people gave."""
    predicted: str | None = None
    """The most probable label."""
    labelled: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    """Captured from `since_ms` and before `until_ms`."""
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StoreLimits:
    """The most that the store may hold. Photos with a label are not removed to stay within it."""

    bytes: int
    """Of all files."""
    photos: int
    days: float
    """The age from which an unlabelled photo is removed."""


@dataclass(frozen=True)
class Totals:
    """What the store holds."""

    photos: int
    bytes: int
