"""What a report tells, as data. Recipes and evaluations fill it in; nothing here knows them."""

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
    """One line of a plot; where `x` is None its values belong to 1, 2, 3 and so on."""

    name: str
    values: Sequence[float]
    x: Sequence[float] | None = None


@dataclass(frozen=True)
class Curve:
    """How something went while the model learnt: a plot of its own."""

    title: str
    x: str
    """What the horizontal axis counts: `epoch`."""
    y: str
    lines: tuple[Line, ...]
    logarithmic: bool = False
    """Whether the horizontal axis is."""
    selected: float | None = None
    """The place on it that was settled on."""


@dataclass(frozen=True, eq=False)
class Content:
    """A model, and what was measured of it on photos with a label.

    Of K classes and T measured photos. What is None, or empty, has no section in the report.
    """

    manifest: Manifest
    """Name, version, labels, rule and origin; `files` may still lack the report."""
    measured_on: str
    """Which photos, as in "pets, its test split"."""
    figures: Mapping[Precision, Metrics]
    """Of the measured photos."""
    truth: NDArray[np.intp]
    """(T,) class indices."""
    probabilities: Mapping[Precision, Probabilities]
    """(T, K) by precision; the first is the one that is looked into."""
    names: Sequence[str]
    """(T,) of the photos."""
    thumbnails: Thumbnails
    uncalibrated: Probabilities | None = None
    """(T, K) without the temperature."""
    sizes: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    """By part of the split, the photos (K,) of each class."""
    findings: Findings | None = None
    curves: tuple[Curve, ...] = ()
    int8: str | None = None
    """What came of int8, in a sentence or two."""
    scores: NDArray[np.floating] | None = None
    """(T,) what the rule for `unknown` compares with its threshold."""
    unusable: Sequence[str] = ()
    """Photos that count in no figure, and why."""
