"""Calibrated probabilities of a multi-label model -> the threshold of each label.

by default              the threshold with the best F1
--accept-precision      the lowest threshold that keeps the promised precision
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training import acceptance, thresholds
from training.acceptance import CONFIDENCE, Outcomes
from training.contracts import ReportProgress
from training.errors import PromiseUnattainable

Mask = NDArray[np.bool_]


def choose(
    probabilities: NDArray[np.float64],
    truth: Mask,
    groups: NDArray[np.intp],
    labels: Sequence[str],
    accept_precision: float | None,
    report_progress: ReportProgress,
) -> tuple[float, ...]:
    """Return the threshold of each label.

    Args:
        probabilities: (N, K), of photos that the model did not learn from.
        truth: (N, K) whether each photo has each label.
        groups: (N,) the same number for photos that aren't independent, of which a promise counts
            one.
        labels: the names of the labels.
        accept_precision: the promised precision of each accepted label; None: best F1.
        report_progress: called with a line about the labels that are never accepted.

    Raises:
        PromiseUnattainable: no threshold of any label keeps `accept_precision`.
    """
    if accept_precision is None:
        return tuple(thresholds.best_f1(probabilities, truth))
    different = np.unique(groups, return_index=True)[1]
    return promised_thresholds(
        probabilities[different], truth[different], labels, accept_precision, report_progress
    )


def aim(accept_precision: float | None, photos: str) -> str:
    """Return the aim of the thresholds in words."""
    if accept_precision is None:
        return f"best F1 {photos}"
    return (
        f"precision of {100 * accept_precision:g} % for each label, at "
        f"{100 * CONFIDENCE:.0f} % confidence, {photos}"
    )


def promised_thresholds(
    probabilities: NDArray[np.float64],
    truth: Mask,
    labels: Sequence[str],
    precision: float,
    report_progress: ReportProgress,
) -> tuple[float, ...]:
    """Return for each label the lowest threshold that keeps the promised precision.

    A label for which none does gets the threshold 1, so that it is not accepted.

    Args:
        probabilities: (N, K), out of fold, of different photos.
        truth: (N, K) whether each photo has each label.
        labels: the names of the labels.
        precision: the share of right ones among the photos for which a label is accepted.
        report_progress: called with a line about the labels that are never accepted.

    Raises:
        PromiseUnattainable: no threshold of any label keeps it.
    """
    found = [
        acceptance.choose(
            [Outcomes(probabilities[:, k].astype(np.float32), truth[:, k])], precision
        )
        for k in range(truth.shape[1])
    ]
    never = [name for name, threshold in zip(labels, found, strict=True) if threshold is None]
    if len(never) == len(found):
        raise PromiseUnattainable(
            f"A precision of {precision:g} can't be promised for any label with {len(truth)} photos"
            f", at {100 * acceptance.CONFIDENCE:.0f} % confidence. Add photos, or lower "
            "--accept-precision."
        )
    if never:
        report_progress(
            f"never accepted, since no threshold keeps a precision of {precision:g}: "
            f"{', '.join(map(repr, never))}"
        )
    return tuple(1.0 if threshold is None else min(threshold, 1.0) for threshold in found)
