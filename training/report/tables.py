"""Compute the tables of a report: figures by class, and the most frequent confusions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.evaluation import accuracy
from training.report import interval
from training.report.content import Content

CLASSES = 100
"""Rows of the table of classes at most."""
MATRIX = 16
"""Classes up to which the confusion matrix shows numbers."""
PAIRS = 20

Counts = NDArray[np.intp]


@dataclass(frozen=True)
class ClassRow:
    """One class: its photos and its figures."""

    label: str
    sizes: tuple[int, ...]
    """Photos by part of the split."""
    images: int
    """The number of measured photos."""
    recall: float | None
    interval: str
    """The interval of recall (95 %), in words; empty without photos."""
    precision: float | None
    taken_for: str | None
    """The most frequent wrong prediction for its photos."""
    times: int


@dataclass(frozen=True)
class Pair:
    """A class that is confused with another."""

    truth: str
    predicted: str
    truth_index: int
    predicted_index: int
    times: int
    of: int
    """The number of measured photos of the class."""


def confusion(content: Content) -> Counts:
    """Return counts (K, K): the row is the class, the column the prediction."""
    count = len(content.manifest.labels)
    predicted = next(iter(content.probabilities.values())).argmax(axis=1)
    cells = np.bincount(content.truth * count + predicted, minlength=count * count)
    return cells.reshape(count, count)


def classes(content: Content, counts: Counts) -> list[ClassRow]:
    """Return a row for each class, in order; above 100 classes, the 100 with the lowest recall."""
    labels = [label.name for label in content.manifest.labels]
    probabilities = next(iter(content.probabilities.values()))
    figures = accuracy.per_class(probabilities, content.truth)
    shown: Sequence[int] = range(len(labels))
    if len(labels) > CLASSES:
        recalls = [2.0 if row.recall is None else row.recall for row in figures]
        shown = np.argsort(recalls, kind="stable")[:CLASSES].tolist()
    rows = []
    for index in shown:
        others = counts[index].copy()
        others[index] = 0
        most = int(others.argmax())
        rows.append(
            ClassRow(
                label=labels[index],
                sizes=tuple(int(part[index]) for part in content.sizes.values()),
                images=figures[index].images,
                recall=figures[index].recall,
                interval=_interval(int(counts[index, index]), figures[index].images),
                precision=figures[index].precision,
                taken_for=labels[most] if others[most] else None,
                times=int(others[most]),
            )
        )
    return rows


def _interval(right: int, images: int) -> str:
    return interval.said(right, images) if images else ""


def pairs(content: Content, counts: Counts) -> list[Pair]:
    """Return the most frequent confusions, at most 20."""
    labels = [label.name for label in content.manifest.labels]
    others = counts.copy()
    np.fill_diagonal(others, 0)
    order = np.argsort(-others, axis=None, kind="stable")[:PAIRS]
    cells = zip(*np.unravel_index(order, others.shape), strict=True)
    return [
        Pair(
            labels[truth],
            labels[other],
            int(truth),
            int(other),
            int(others[truth, other]),
            int(counts[truth].sum()),
        )
        for truth, other in cells
        if others[truth, other]
    ]


def shares(counts: Counts) -> NDArray[np.float64]:
    """Return counts (K, K) as shares of each row; 0 for a class without photos."""
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
