"""Figures of a multi-label model, by label and in all; NumPy only.

probabilities (N, K), accepted (N, K), truth (N, K) -> average precision, F1, ECE of each label
                                                    -> their means, and the share of exact photos
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.runtime.evaluation.calibration_error import expected_calibration_error

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelFigures:
    """The figures of one label; a ratio whose denominator is 0 is None."""

    index: int
    images: int
    """Photos that have the label."""
    average_precision: float | None
    f1: float | None
    recall: float | None
    """Share of the photos with the label for which it is accepted."""
    precision: float | None
    """Share of the photos for which the label is accepted that have it."""
    ece: float


@dataclass(frozen=True)
class OverallFigures:
    """The figures of all labels together."""

    mean_average_precision: float
    """The mean over the labels that occur; 0 if none does."""
    f1_micro: float
    """F1 of all pairs of a photo and a label."""
    f1_macro: float
    """The mean of the labels' F1, over those that occur or are accepted."""
    exact: float
    """Share of the photos whose accepted labels are exactly the right ones."""
    ece: float
    """The mean over the labels."""


def per_label(probabilities: Floats, accepted: Mask, truth: Mask) -> list[LabelFigures]:
    """Return the figures of each of the K labels, in the order of their indices.

    Args:
        probabilities: (N, K).
        accepted: (N, K).
        truth: (N, K) whether each photo has each label.
    """
    hits = (accepted & truth).sum(axis=0)
    found, present = accepted.sum(axis=0), truth.sum(axis=0)
    return [
        LabelFigures(
            index=index,
            images=int(present[index]),
            average_precision=average_precision(probabilities[:, index], truth[:, index]),
            f1=_ratio(2 * hits[index], found[index] + present[index]),
            recall=_ratio(hits[index], present[index]),
            precision=_ratio(hits[index], found[index]),
            ece=expected_calibration_error(
                probabilities[:, index].astype(np.float64), truth[:, index]
            ),
        )
        for index in range(truth.shape[1])
    ]


def overall(labels: Sequence[LabelFigures], accepted: Mask, truth: Mask) -> OverallFigures:
    """Return the figures of all labels, from those of each; masks are (N, K)."""
    hits = int((accepted & truth).sum())
    return OverallFigures(
        mean_average_precision=_mean([label.average_precision for label in labels]),
        f1_micro=_ratio(2 * hits, int(accepted.sum() + truth.sum())) or 0.0,
        f1_macro=_mean([label.f1 for label in labels]),
        exact=float((accepted == truth).all(axis=1).mean()),
        ece=float(np.mean([label.ece for label in labels])),
    )


def average_precision(scores: Floats, truth: Mask) -> float | None:
    """Return the area under the precision-recall curve as a sum of steps; None without positives.

    Photos with equal scores (N,) are one step, so their order doesn't matter.
    """
    positives = int(truth.sum())
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    precision = hits[ends] / (ends + 1)
    gains = np.diff(np.append(0, hits[ends])) / positives
    return float((precision * gains).sum())


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0
