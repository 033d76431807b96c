"""The drift of each model's predictions from the baseline in its bundle.

observe(prediction) -> the window of the model's version
drift(model)        -> population stability index of decisions, labels and confidence
                    -> distance of mean embeddings
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
from app.runtime.drift.mean_embedding import Distance, MeanEmbedding, distance
from app.runtime.drift.stability import (
    MODERATE_FROM,
    SIGNIFICANT_FROM,
    Counts,
    Status,
    chance_limit,
    group_starts,
    grouped,
    population_stability_index,
    status_of,
)
from app.runtime.drift.window import Window
from app.runtime.loaded_model import Model

MIN_IMAGES = 200
"""With fewer predictions nothing is reported."""

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
    embedding: Distance | None = None
    """None if the bundle has no baseline for it."""


@dataclass(frozen=True, eq=False)
class _Observed:
    """What was observed of one version of a model, since its bundle was loaded."""

    baseline: Baseline
    window: Window
    embedding: MeanEmbedding | None


class DriftMonitor:
    """The windows of all models."""

    def __init__(self) -> None:
        self._observed: dict[tuple[str, int], _Observed] = {}

    def observe(self, result: Classified, model: Model) -> None:
        """Count one prediction of `model`, if its bundle has a baseline."""
        baseline = model.manifest.baseline
        if baseline is None:
            return
        decision = None if result.decision is None else _DECISIONS.index(result.decision)
        labels = predicted_labels(result.probabilities, model.manifest)
        observed = self._of(model, baseline)
        observed.window.count(decision, labels, float(result.probabilities.max()))
        if observed.embedding is not None and result.embedding is not None:
            observed.embedding.add(result.embedding)

    def _of(self, model: Model, baseline: Baseline) -> _Observed:
        """Return the model's windows; a bundle that was loaded again begins with empty ones."""
        key = model.name, model.version
        known = self._observed.get(key)
        if known is not None and known.baseline is baseline:
            return known
        bins = len(baseline.confidence)
        window = Window(len(_DECISIONS), len(model.manifest.labels), bins)
        expected = model.embedding_baseline
        embedding = None if expected is None else MeanEmbedding(len(expected.mean))
        self._observed[key] = observed = _Observed(baseline, window, embedding)
        return observed

    def drift(self, model: Model) -> Drift:
        """Return the drift of the model's predictions."""
        baseline = model.manifest.baseline
        known = self._observed.get((model.name, model.version))
        if baseline is None or not baseline.confidence:
            return Drift(0, None, "no_baseline", ())
        if known is None or known.baseline is not baseline:
            return Drift(0, None, "too_few", ())
        counted = known.window.counted()
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
        embedding = _distance(model, baseline, known.embedding)
        order: Sequence[Status] = get_args(Status)
        found: list[Status] = [each.status for each in (*usable, embedding) if each is not None]
        worst: Status = max(found, key=order.index, default="too_few")
        return Drift(counted.images, counted.since, worst, usable, embedding)


def _distance(model: Model, baseline: Baseline, observed: MeanEmbedding | None) -> Distance | None:
    """Compare the mean embeddings; None without a baseline for them, or with few embeddings."""
    expected = model.embedding_baseline
    if expected is None or observed is None:
        return None
    mean, images = observed.mean()
    return distance(expected, baseline.images, mean, images) if images >= MIN_IMAGES else None


def _statistic(of: Of, expected: Counts, actual: Counts, names: Sequence[str]) -> Statistic | None:
    """Compare two histograms (B,); None if one of them is empty."""
    if not expected.sum() or not actual.sum():
        return None
    starts = group_starts(expected)
    ends = [*starts[1:], len(names)]
    expected, actual = grouped(expected, starts), grouped(actual, starts)
    psi = population_stability_index(expected, actual)
    chance = chance_limit(len(starts), int(expected.sum()), int(actual.sum()))
    limit, status = status_of(psi, chance, MODERATE_FROM, SIGNIFICANT_FROM)
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
