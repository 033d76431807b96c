"""The figures of two versions on the same photos, of which the rule decides.

predictions of both, true labels -> right or wrong, photo by photo -> shares, tests, an interval

Photos that aren't independent count once: the first of each group. Labels that one version alone
has are left out here; comparison.labels is about those.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.evaluation.calibration_error import (
    calibration_error,
    expected_calibration_error,
)
from training.comparison import paired
from training.comparison.paired import Floats

Mask = NDArray[np.bool_]
Integers = NDArray[np.intp]
_TAIL = 0.1
"""Probability beyond each end of a bootstrap's interval: one-sided confidence of 90 %."""
_BRIER_TAIL = 0.025
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Sides:
    """Both versions on the same N photos, and on the S labels that both have."""

    truth: Mask
    """(N, S) whether each photo has each label."""
    serving: Floats
    """(N, K) probabilities; the first S columns are those of the shared labels."""
    candidate: Floats
    serving_accepted: Mask
    """(N, S) whether each label is predicted: the most probable one, or those accepted."""
    candidate_accepted: Mask


@dataclass(frozen=True)
class OfLabel:
    """The photos of one label, by which version is right about them."""

    photos: int
    serving: int
    """Those that the serving version gets right."""
    candidate: int
    losses: int
    """Those that only the serving version gets right."""
    gains: int


@dataclass(frozen=True)
class Figures:
    """The figures that the rule decides on."""

    photos: int
    accuracy: tuple[float, float]
    """Of serving and candidate: the share of right photos, or F1."""
    ece: tuple[float, float]
    brier: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p_value: float
    losses: int
    gains: int
    labels: tuple[OfLabel, ...]
    brier_rise: float
    """The rise of the Brier score that it exceeds with 97.5 % confidence."""


def of_classes(sides: Sides, seed: int) -> Figures:
    """Return the figures of single-label versions."""
    truth = sides.truth.argmax(axis=1)
    right = [
        np.asarray((accepted & sides.truth).any(axis=1))
        for accepted in (sides.serving_accepted, sides.candidate_accepted)
    ]
    losses, gains = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    count = len(truth)
    briers = [_brier(rows, sides.truth) for rows in (sides.serving, sides.candidate)]
    return Figures(
        photos=count,
        accuracy=(float(right[0].mean()), float(right[1].mean())),
        ece=(calibration_error(sides.serving, truth), calibration_error(sides.candidate, truth)),
        brier=(float(briers[0].mean()), float(briers[1].mean())),
        difference=(gains - losses) / count,
        interval=paired.tango_interval(losses, gains, count),
        p_value=paired.mcnemar_mid_p(losses, gains),
        losses=losses,
        gains=gains,
        labels=tuple(_of_label(right, truth == label) for label in range(sides.truth.shape[1])),
        brier_rise=_rise(briers[1] - briers[0], seed),
    )


def of_labels(sides: Sides, seed: int) -> Figures:
    """Return the figures of multi-label versions: F1 of all pairs of a photo and a label."""
    truth, shared = sides.truth, sides.truth.shape[1]
    accepted = sides.serving_accepted, sides.candidate_accepted
    columns = [(each & truth).sum(axis=1) for each in accepted]
    columns += [each.sum(axis=1) + truth.sum(axis=1) for each in accepted]
    numbers = np.stack(columns, axis=1).astype(np.float64)
    total = numbers.sum(axis=0)[np.newaxis]
    differences = paired.bootstrap(numbers, _f1_difference, seed)
    exact = [(each == truth).all(axis=1) for each in accepted]
    briers = [_brier(rows[:, :shared], truth) for rows in (sides.serving, sides.candidate)]
    below, above = (differences <= 0).mean(), (differences >= 0).mean()
    return Figures(
        photos=len(truth),
        accuracy=(float(_f1(total, 0)[0]), float(_f1(total, 1)[0])),
        ece=(_mean_ece(sides.serving, truth), _mean_ece(sides.candidate, truth)),
        brier=(float(briers[0].mean()), float(briers[1].mean())),
        difference=float(_f1_difference(total)[0]),
        interval=_ends(differences),
        p_value=float(min(1.0, 2 * min(below, above))),
        losses=int((exact[0] & ~exact[1]).sum()),
        gains=int((exact[1] & ~exact[0]).sum()),
        labels=tuple(_of_label_column(accepted, truth, label) for label in range(shared)),
        brier_rise=_rise(briers[1] - briers[0], seed),
    )


def _of_label(right: Sequence[Mask], of_label: Mask) -> OfLabel:
    serving, candidate = right[0][of_label], right[1][of_label]
    return OfLabel(
        photos=int(of_label.sum()),
        serving=int(serving.sum()),
        candidate=int(candidate.sum()),
        losses=int((serving & ~candidate).sum()),
        gains=int((candidate & ~serving).sum()),
    )


def _of_label_column(accepted: Sequence[Mask], truth: Mask, label: int) -> OfLabel:
    """Return the figures of one label of several; a photo without it counts for its tests too."""
    right = [each[:, label] == truth[:, label] for each in accepted]
    own = truth[:, label]
    return OfLabel(
        photos=int(own.sum()),
        serving=int((right[0] & own).sum()),
        candidate=int((right[1] & own).sum()),
        losses=int((right[0] & ~right[1]).sum()),
        gains=int((right[1] & ~right[0]).sum()),
    )


def _brier(probabilities: Floats, truth: Mask) -> Floats:
    """Return the squared error of each photo's probabilities, (N,)."""
    target = np.zeros(probabilities.shape)
    target[:, : truth.shape[1]] = truth
    return np.asarray(((probabilities - target) ** 2).sum(axis=1))


def _rise(differences: Floats, seed: int) -> float:
    """Return the lower end of the mean's interval, 97.5 % one-sided, by a paired bootstrap."""
    means = paired.bootstrap(
        np.stack([differences, np.ones(len(differences))], axis=1),
        lambda sums: sums[:, 0] / sums[:, 1],
        seed,
    )
    return float(np.quantile(means, _BRIER_TAIL))


def _f1(sums: Floats, version: int) -> Floats:
    return np.asarray(2 * sums[:, version] / np.maximum(sums[:, 2 + version], _LEAST))


def _f1_difference(sums: Floats) -> Floats:
    return np.asarray(_f1(sums, 1) - _f1(sums, 0))


def _ends(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
    return float(low), float(high)


def _mean_ece(probabilities: Floats, truth: Mask) -> float:
    errors = [
        expected_calibration_error(probabilities[:, label], truth[:, label])
        for label in range(truth.shape[1])
    ]
    return float(np.mean(errors))
