"""The content of a report, as data that training, import and evaluation fill in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.bundle import Manifest, Metrics, Precision
from training.data.findings import Findings

Probabilities = NDArray[np.floating]
Thumbnails = Callable[[int], NDArray[np.uint8]]
"""The index of a measured photo -> uint8 RGB (h, w, 3), of any size."""


@dataclass(frozen=True)
class Line:
    """One line of a plot; where `x` is None its values stand at 1, 2, 3 and so on."""

    name: str
    values: Sequence[float]
    x: Sequence[float] | None = None


@dataclass(frozen=True)
class Curve:
    """A plot of lines: a value over epochs, or over another quantity."""

    title: str
    x: str
    """The name of the horizontal axis, such as `epoch`."""
    y: str
    lines: tuple[Line, ...]
    logarithmic: bool = False
    """True if the horizontal axis is logarithmic."""
    selected: float | None = None
    """The selected value on the horizontal axis."""


@dataclass(frozen=True, eq=False)
class HeldOutPhotos:
    """H photos of training, each predicted by a model that did not learn from it."""

    on: str
    """The photos in words."""
    names: Sequence[str]
    """(H,)."""
    truth: NDArray[np.intp]
    """(H,) class indices."""
    probabilities: Probabilities
    """(H, K)."""
    familiarity: NDArray[np.floating] | None
    """(H,); None where the `unknown` rule does not use it."""
    thumbnails: Thumbnails


@dataclass(frozen=True)
class SuspectPhoto:
    """A photo whose label is probably wrong."""

    name: str
    label: str
    """The given label."""
    suggested: str
    """The label that the model thinks right."""
    of_label: float
    """The probability of the given label."""
    of_suggested: float
    is_confident: bool
    """True if the suggested label is as probable as usual on its own photos."""
    row: int
    """The row of its pixels."""


@dataclass(frozen=True, eq=False)
class Suspects:
    """The suspects among the audited photos, most certain first."""

    photos: Sequence[SuspectPhoto]
    audited: int
    """The number of photos that a model predicted which did not learn from them."""
    thumbnails: Thumbnails
    """The row of a photo's pixels -> uint8 RGB (h, w, 3)."""

    @property
    def confident(self) -> int:
        """The number of suspects of which the model is sure; they come first."""
        return sum(photo.is_confident for photo in self.photos)


@dataclass(frozen=True, eq=False)
class Content:
    """A model of K classes, and its figures and predictions on T photos with a label.

    A field that is None or empty has no section in the report.
    """

    manifest: Manifest
    """The manifest of the bundle; its `files` may lack the report."""
    measured_on: str
    """The measured photos in words, such as "pets, its test split"."""
    figures: Mapping[Precision, Metrics]
    """The figures on the measured photos, by precision."""
    truth: NDArray[np.intp]
    """(T,) class indices."""
    probabilities: Mapping[Precision, Probabilities]
    """(T, K) by precision; the report analyses the first."""
    names: Sequence[str]
    """(T,) the names of the photos."""
    thumbnails: Thumbnails
    uncalibrated: Probabilities | None = None
    """(T, K) without the temperature."""
    sizes: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    """By part of the split, the number of photos (K,) of each class."""
    findings: Findings | None = None
    curves: tuple[Curve, ...] = ()
    int8: str | None = None
    """The outcome of the int8 gate, in a sentence or two."""
    scores: NDArray[np.floating] | None = None
    """(T,) the scores that the out-of-distribution threshold is compared with."""
    held_out: HeldOutPhotos | None = None
    suspects: Suspects | None = None
    """None: the labels were not audited."""
    chose_thresholds: bool = False
    """Whether the measured photos chose the acceptance threshold, so that they can't test it."""
    data_photo: Callable[[str], NDArray[np.uint8] | None] | None = None
    """The name of a file in a finding -> uint8 RGB (h, w, 3); None if it can't be read."""
    unusable: Sequence[str] = ()
    """Photos that count in no figure, each with the reason."""
