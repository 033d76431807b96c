"""Compute the tables of a multi-label report: figures by label, and labels that occur together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.evaluation import label_figures
from app.runtime.evaluation.label_figures import LabelFigures
from training.report.label_content import LabelContent

LABELS = 100
"""Rows of the table of labels at most."""
MATRIX = 16
"""Labels up to which the co-occurrence is a matrix."""
PAIRS = 20


@dataclass(frozen=True)
class LabelRow:
    """One label: its photos and its figures."""

    label: str
    sizes: tuple[int, ...]
    """Photos that have it, by part of the split."""
    threshold: float
    band: tuple[float, float]
    """The probabilities from and up to which the label is undecided."""
    accepted: int
    """Measured photos for which it is accepted."""
    figures: LabelFigures


@dataclass(frozen=True)
class Cell:
    """Two labels, or one with itself: the photos that have both."""

    photos: int
    accepted: int
    """The photos for which both are accepted."""
    share: float
    """The share of the photos of the row's label."""


@dataclass(frozen=True)
class Pair:
    """Two labels that occur together."""

    first: str
    second: str
    photos: int
    expected: float
    """The photos that would have both if the labels were independent."""
    accepted: int


def figures(content: LabelContent) -> list[LabelFigures]:
    """Return the figures of every label."""
    return label_figures.per_label(content.analysed, content.accepted, content.truth)


def labels(content: LabelContent) -> list[LabelRow]:
    """Return a row for each label, in order; above 100, those with the lowest precision."""
    manifest, found = content.manifest, figures(content)
    shown: Sequence[int] = range(len(found))
    if len(found) > LABELS:
        ranks = [2.0 if f.average_precision is None else f.average_precision for f in found]
        shown = np.argsort(ranks, kind="stable")[:LABELS].tolist()
    accepted = content.accepted.sum(axis=0)
    return [
        LabelRow(
            label=manifest.labels[index].name,
            sizes=tuple(int(part[index]) for part in content.sizes.values()),
            threshold=(manifest.thresholds or ())[index],
            band=(manifest.undecided or ())[index],
            accepted=int(accepted[index]),
            figures=found[index],
        )
        for index in shown
    ]


def matrix(content: LabelContent) -> list[list[Cell]] | None:
    """Return a cell for each pair of labels, (K, K); None for more than 16 labels."""
    count = content.truth.shape[1]
    if count > MATRIX:
        return None
    together, accepted = _together(content.truth), _together(content.accepted)
    present = np.maximum(np.diag(together), 1)
    return [
        [
            Cell(int(together[i, j]), int(accepted[i, j]), float(together[i, j] / present[i]))
            for j in range(count)
        ]
        for i in range(count)
    ]


def pairs(content: LabelContent) -> list[Pair]:
    """Return the labels that occur together most often, at most 20 pairs."""
    names = [label.name for label in content.manifest.labels]
    together, accepted = _together(content.truth), _together(content.accepted)
    counts = np.triu(together, 1)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    present, photos = np.diag(together), len(content.truth)
    return [
        Pair(
            names[i],
            names[j],
            int(together[i, j]),
            float(present[i] * present[j] / photos),
            int(accepted[i, j]),
        )
        for i, j in zip(*np.unravel_index(order, counts.shape), strict=True)
        if counts[i, j]
    ]


def by_count(content: LabelContent) -> list[tuple[int, int, int]]:
    """Return how many photos have 0, 1, 2, … labels, and have so many accepted."""
    has, gets = content.truth.sum(axis=1), content.accepted.sum(axis=1)
    most = int(max(has.max(initial=0), gets.max(initial=0)))
    return [(n, int((has == n).sum()), int((gets == n).sum())) for n in range(most + 1)]


def _together(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    counts = mask.astype(np.intp)
    return np.asarray(counts.T @ counts)
