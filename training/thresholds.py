"""The thresholds of a multi-label model, and the bands that its calibration can't decide.

probabilities (N, K), truth (N, K) -> for each label the threshold with the best F1
a threshold                        -> the band around it in which a photo is `unsure`
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Band = tuple[float, float]

DEFAULT = 0.5
"""The threshold of a label without photos to choose one by."""
_ABSENT_BELOW, _PRESENT_FROM = 1 / 3, 2 / 3
"""Probabilities of even stronger odds than two to one decide, as in a single-label model."""


def band(threshold: float) -> Band:
    """Return the band of a label with this threshold: from one third to two thirds, at least."""
    return min(_ABSENT_BELOW, threshold), max(_PRESENT_FROM, threshold)


class AcceptedCounts(NamedTuple):
    """The accepted labels of photos, counted."""

    photos: int
    """Photos with an accepted label at least."""
    accepted: int
    right: int
    """Accepted labels that the photo has."""


def count_accepted(accepted: Mask, truth: Mask) -> AcceptedCounts:
    """Count the accepted labels, and the right ones among them; both arguments are (N, K)."""
    return AcceptedCounts(
        photos=int(accepted.any(axis=1).sum()),
        accepted=int(accepted.sum()),
        right=int((accepted & truth).sum()),
    )


def describe_bands(bands: Sequence[Band]) -> str:
    """Return the ends of the labels' bands in words: `begins at 33.3 % and ends at 66.7 %`."""
    low, high = (_percent_range(ends) for ends in zip(*bands, strict=True))
    return f"begins at {low} and ends at {high}{', by the label' if len(set(bands)) > 1 else ''}"


def _percent_range(shares: Sequence[float]) -> str:
    first, last = (f"{100 * share:.1f}" for share in (min(shares), max(shares)))
    return f"{first} %" if first == last else f"{first} to {last} %"


def best_f1(probabilities: Floats, truth: Mask) -> list[float]:
    """Return for each label the threshold with the highest F1 on these photos.

    Args:
        probabilities: (N, K), calibrated, by models that were not fitted on the photo.
        truth: (N, K) whether each photo has each label.
    """
    return [_best_f1(probabilities[:, k], truth[:, k]) for k in range(truth.shape[1])]


def _best_f1(scores: Floats, truth: Mask) -> float:
    """Return the threshold between two neighbouring scores; of equally good ones that nearest 1/2.

    Only thresholds that accept a photo and reject another are tried.
    """
    positives = int(truth.sum())
    if not positives or positives == len(truth):
        return DEFAULT
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(np.float64)
    accepted = np.arange(1, len(ranked))
    f1 = 2 * np.cumsum(truth[order])[:-1] / (accepted + positives)
    f1[ranked[:-1] == ranked[1:]] = 0  # no threshold lies between equal scores
    best = np.flatnonzero(f1 >= f1.max() - np.finfo(np.float64).eps)
    # A threshold may be anywhere between its two scores: as near to one half as they allow.
    nearest = np.clip(DEFAULT, *_inner(ranked[best + 1], ranked[best]))
    return float(nearest[np.abs(nearest - DEFAULT).argmin()])


def _inner(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the inner half of the intervals between two scores, away from both."""
    quarter = (high - low) / 4
    return low + quarter, high - quarter
