"""The content of a report about a multi-label model, as training and evaluation fill it in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.bundle import Manifest, MultiLabelMetrics, Precision
from app.runtime.accepted_labels import accepted_labels
from training.data.findings import Findings
from training.report.content import Curve, Probabilities, Thumbnails

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelContent:
    """A model of K labels, and its figures and predictions on T photos with any number of them.

    A field that is None or empty has no section in the report.
    """

    manifest: Manifest
    """The manifest of the bundle; its `files` may lack the report."""
    measured_on: str
    """The measured photos in words, such as "pets, its test split"."""
    figures: Mapping[Precision, MultiLabelMetrics]
    """The figures on the measured photos, by precision."""
    truth: Mask
    """(T, K) whether each photo has each label."""
    probabilities: Mapping[Precision, Probabilities]
    """(T, K) by precision; the report analyses the first."""
    names: Sequence[str]
    """(T,) the names of the photos."""
    thumbnails: Thumbnails
    uncalibrated: Probabilities | None = None
    """(T, K) without the labels' calibration."""
    part_photos: Mapping[str, int] = field(default_factory=dict)
    """By part of the split, the number of photos."""
    sizes: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    """By part of the split, the number of photos (K,) that have each label."""
    findings: Findings | None = None
    curves: tuple[Curve, ...] = ()
    int8: str | None = None
    """The outcome of the int8 gate, in a sentence or two."""
    familiarity: NDArray[np.floating] | None = None
    """(T,)."""
    data_photo: Callable[[str], NDArray[np.uint8] | None] | None = None
    """The name of a file in a finding -> uint8 RGB (h, w, 3); None if it can't be read."""
    unusable: Sequence[str] = ()
    """Photos that count in no figure, each with the reason."""

    @property
    def analysed(self) -> Probabilities:
        """The probabilities (T, K) that the report analyses."""
        return next(iter(self.probabilities.values()))

    @property
    def accepted(self) -> Mask:
        """(T, K) whether each label is accepted for each photo."""
        return accepted_labels(self.analysed.astype(np.float32), self.manifest)
