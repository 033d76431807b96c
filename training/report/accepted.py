"""Count the accepted predictions, and the right ones among them, by threshold and by class.

predictions, thresholds of the bundle -> what is accepted now      `figures`, `by_class`
                                      -> what any threshold gives  `curve`: coverage and precision
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import SURE_FROM, Manifest
from app.runtime.decision import accepted_rows
from training import acceptance
from training.report import interval
from training.report.content import Content, Curve, HeldOutPhotos, Line

CLASSES = 40
"""Rows of the table of classes at most, those with the most predictions."""
_FIRST_SHARE = 0.02
_FIRST_PHOTOS = 20
"""The curve begins with so many photos: the precision of fewer says nothing."""
_POINTS = 200

Probabilities = NDArray[np.floating]
Truth = NDArray[np.intp]


@dataclass(frozen=True)
class Accepted:
    """The accepted predictions among some photos."""

    on: str
    """The photos in words."""
    photos: int
    accepted: int
    right: int

    @property
    def coverage(self) -> float:
        """The share of the photos whose prediction is accepted."""
        return self.accepted / self.photos

    @property
    def precision(self) -> float | None:
        """The share of the accepted predictions that are right; None: none is accepted."""
        return self.right / self.accepted if self.accepted else None

    @property
    def interval(self) -> str:
        """The interval of the precision (95 %), in words; empty where none is accepted."""
        return interval.said(self.right, self.accepted) if self.accepted else ""


@dataclass(frozen=True)
class AcceptedOfClass:
    """The accepted predictions of one label."""

    label: str
    accept_from: float | None
    """None: no prediction of this label is accepted."""
    predictions: int
    accepted: int
    right: int
    lower_limit: float
    """The lower confidence limit (95 %) of the share of right ones."""

    @property
    def precision(self) -> float | None:
        """The share of the accepted predictions that are right."""
        return self.right / self.accepted if self.accepted else None


def figures(content: Content) -> list[Accepted]:
    """Return what is accepted among the held-out photos, where there are some, and the measured."""
    rows = []
    if (held_out := content.held_out) is not None:
        rows.append(
            _count(
                content.manifest,
                held_out.probabilities,
                held_out.familiarity,
                held_out.truth,
                held_out.on,
            )
        )
    probabilities = next(iter(content.probabilities.values()))
    rows.append(
        _count(
            content.manifest,
            probabilities,
            _familiarity(content),
            content.truth,
            content.measured_on,
        )
    )
    return rows


def _familiarity(content: Content) -> NDArray[np.floating] | None:
    rule = content.manifest.unknown
    return content.scores if rule is not None and rule.score == "familiarity" else None


def _count(
    manifest: Manifest,
    probabilities: Probabilities,
    familiarity: NDArray[np.floating] | None,
    truth: Truth,
    on: str,
) -> Accepted:
    accepted = accepted_rows(probabilities, manifest, familiarity)
    right = accepted & (probabilities.argmax(axis=1) == truth)
    return Accepted(on, len(truth), int(accepted.sum()), int(right.sum()))


def by_class(content: Content) -> list[AcceptedOfClass]:
    """Return a row for each predicted label of the measured photos, at most 40."""
    probabilities = next(iter(content.probabilities.values()))
    predicted = probabilities.argmax(axis=1)
    accepted = accepted_rows(probabilities, content.manifest, _familiarity(content))
    right = accepted & (predicted == content.truth)
    labels, rule = content.manifest.labels, content.manifest.decision
    counts = np.bincount(predicted, minlength=len(labels))
    order = np.argsort(-counts, kind="stable")[:CLASSES]
    rows = []
    for label in np.sort(order[counts[order] > 0]).tolist():
        of_label = predicted == label
        of_accepted, of_right = int(accepted[of_label].sum()), int(right[of_label].sum())
        rows.append(
            AcceptedOfClass(
                label=labels[label].name,
                accept_from=SURE_FROM if rule is None else rule.threshold_of(labels[label].name),
                predictions=int(counts[label]),
                accepted=of_accepted,
                right=of_right,
                lower_limit=acceptance.lower_limit(of_right, of_accepted) if of_accepted else 0.0,
            )
        )
    return rows


def curve(content: Content) -> Curve:
    """Return the precision over the coverage that each threshold gives."""
    lines = []
    if (held_out := content.held_out) is not None:
        known = _known(content.manifest, held_out)
        lines.append(_line("held-out photos", held_out.probabilities, held_out.truth, known))
    probabilities = next(iter(content.probabilities.values()))
    scores, unknown = content.scores, content.manifest.unknown
    known = np.ones(len(content.truth), bool)
    if scores is not None and unknown is not None:
        known = np.asarray(scores >= unknown.threshold)
    lines.append(_line("measured photos", probabilities, content.truth, known))
    rule = content.manifest.decision
    if rule is not None and rule.precision is not None:
        lines.append(
            Line("promised", [rule.precision] * _POINTS, np.linspace(0, 1, _POINTS).tolist())
        )
    return Curve(
        title="Precision of accepted predictions by coverage",
        x="coverage: share of photos whose prediction is accepted",
        y="precision: share of right ones",
        lines=tuple(lines),
        selected=figures(content)[-1].coverage,
    )


def _known(manifest: Manifest, held_out: HeldOutPhotos) -> NDArray[np.bool_]:
    unknown = manifest.unknown
    if unknown is None:
        return np.ones(len(held_out.truth), bool)
    if unknown.score == "max_probability":
        return np.asarray(held_out.probabilities.max(axis=1) >= unknown.threshold)
    assert held_out.familiarity is not None
    return np.asarray(held_out.familiarity >= unknown.threshold)


def _line(name: str, probabilities: Probabilities, truth: Truth, known: NDArray[np.bool_]) -> Line:
    order = np.argsort(-probabilities[known].max(axis=1), kind="stable")
    right = (probabilities[known].argmax(axis=1) == truth[known])[order]
    counts = np.arange(1, len(right) + 1)
    first = min(len(right), max(_FIRST_PHOTOS, int(_FIRST_SHARE * len(truth))))
    points: Sequence[int] = np.unique(
        np.linspace(max(0, first - 1), max(0, len(right) - 1), _POINTS).astype(int)
    ).tolist()
    precision, coverage = np.cumsum(right) / counts, counts / len(truth)
    shown = [point for point in points if point < len(right)]
    return Line(name, precision[shown].tolist(), coverage[shown].tolist())
