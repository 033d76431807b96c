"""The drift of each model's predictions from the baseline in its bundle.

observe(prediction) -> the window of the model's version
drift(model)        -> population stability index of decisions, labels and confidence
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from app.bundle import Baseline
from app.runtime.accepted_labels import predicted_labels
from app.runtime.classifier import Classified
from app.runtime.decision import Decision
from app.runtime.drift.stability import (
    MODERATE_FROM,
    SIGNIFICANT_FROM,
    Counts,
    chance_limit,
    group_starts,
    grouped,
    population_stability_index,
)
from app.runtime.drift.window import Window
from app.runtime.loaded_model import Model

MIN_IMAGES = 200
"""With fewer predictions nothing is reported."""

Status = Literal["no_baseline", "too_few", "stable", "moderate", "significant"]
Of = Literal["decision", "label", "confidence"]
_DECISIONS: Sequence[Decision] = get_args(Decision)


@dataclass(frozen=True)
class Statistic:
    """The population stability index of one property of the predictions."""

    of: Of
    psi: float
    limit: float
    """The index from which the drift is significant: 0.25, or what chance alone may reach."""
    status: Status
    bins: tuple[str, ...]
    """The names of the bins, or of the groups of bins."""
    expected: tuple[float, ...]
    """The share of each bin in the baseline."""
    actual: tuple[float, ...]
    """The share of each bin in the window."""


@dataclass(frozen=True)
class Drift:
    """The drift of one version of a model."""

    images: int
    """The predictions in the window."""
    since: float | None
    """time.time() at the start of the window; None if it is empty."""
    status: Status
    """The worst of the statistics."""
    statistics: tuple[Statistic, ...]


class DriftMonitor:
    """The windows of all models."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, int], tuple[Baseline, Window]] = {}

    def observe(self, result: Classified, model: Model) -> None:
        """Count one prediction of `model`, if its bundle has a baseline."""
        baseline = model.manifest.baseline
        if baseline is None:
            return
        decision = None if result.decision is None else _DECISIONS.index(result.decision)
        labels = predicted_labels(result.probabilities, model.manifest)
        window = self._window(model, baseline)
        window.count(decision, labels, float(result.probabilities.max()))

    def _window(self, model: Model, baseline: Baseline) -> Window:
        """Return the model's window; a bundle that was loaded again begins with an empty one."""
        key = model.name, model.version
        known = self._windows.get(key)
        if known is not None and known[0] is baseline:
            return known[1]
        bins = len(baseline.confidence)
        window = Window(len(_DECISIONS), len(model.manifest.labels), bins)
        self._windows[key] = baseline, window
        return window

    def drift(self, model: Model) -> Drift:
        """Return the drift of the model's predictions."""
        baseline = model.manifest.baseline
        known = self._windows.get((model.name, model.version))
        if baseline is None or not baseline.confidence:
            return Drift(0, None, "no_baseline", ())
        if known is None or known[0] is not baseline:
            return Drift(0, None, "too_few", ())
        counted = known[1].counted()
        if counted.images < MIN_IMAGES:
            return Drift(counted.images, counted.since, "too_few", ())
        statistics = []
        if baseline.decisions is not None:
            expected = np.array([baseline.decisions.get(each, 0) for each in _DECISIONS])
            statistics.append(_statistic("decision", expected, counted.decisions, _DECISIONS))
        if baseline.labels is not None:
            names = [label.name for label in model.manifest.labels]
            statistics.append(_statistic("label", np.array(baseline.labels), counted.labels, names))
        edges = np.linspace(0, 1, len(baseline.confidence) + 1)
        names = [f"{low:g} to {high:g}" for low, high in pairwise(edges.tolist())]
        expected = np.array(baseline.confidence)
        statistics.append(_statistic("confidence", expected, counted.confidence, names))
        usable = tuple(each for each in statistics if each is not None)
        order: Sequence[Status] = get_args(Status)
        found: list[Status] = [each.status for each in usable]
        worst: Status = max(found, key=order.index, default="too_few")
        return Drift(counted.images, counted.since, worst, usable)


def _statistic(of: Of, expected: Counts, actual: Counts, names: Sequence[str]) -> Statistic | None:
    """Compare two histograms (B,); None if one of them is empty."""
    if not expected.sum() or not actual.sum():
        return None
    starts = group_starts(expected)
    ends = [*starts[1:], len(names)]
    expected, actual = grouped(expected, starts), grouped(actual, starts)
    psi = population_stability_index(expected, actual)
    chance = chance_limit(len(starts), int(expected.sum()), int(actual.sum()))
    limit = max(SIGNIFICANT_FROM, chance)
    status: Status = "stable"
    if psi >= limit:
        status = "significant"
    elif psi >= max(MODERATE_FROM, chance):
        status = "moderate"
    return Statistic(
        of,
        psi,
        limit,
        status,
        tuple(_group_name(names[start:end]) for start, end in zip(starts, ends, strict=True)),
        tuple((expected / expected.sum()).tolist()),
        tuple((actual / actual.sum()).tolist()),
    )


def _group_name(names: Sequence[str]) -> str:
    """Return the name of a group of adjacent bins: its first and its last."""
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
