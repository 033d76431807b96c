"""Probabilities and the true classes -> what a report lists: classes, and who is taken for whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.evaluation import accuracy
from training.report.content import Content

CLASSES = 100
"""Rows of the table of classes."""
MATRIX = 16
"""Up to so many classes the confusion matrix has numbers in it."""
PAIRS = 20

Counts = NDArray[np.intp]


@dataclass(frozen=True)
class ClassRow:
    """One class: its photos, and how it fares."""

    label: str
    sizes: tuple[int, ...]
    """Photos by part of the split."""
    images: int
    """Measured."""
    recall: float | None
    precision: float | None
    taken_for: str | None
    """The label that its photos get most often when they don't get its own."""
    times: int


@dataclass(frozen=True)
class Pair:
    """A class that is taken for another."""

    truth: str
    answer: str
    times: int
    of: int
    """Measured photos of the class."""


def confusion(content: Content) -> Counts:
    """Counts (K, K): row the class, column the answer."""
    count = len(content.manifest.labels)
    answers = next(iter(content.probabilities.values())).argmax(axis=1)
    cells = np.bincount(content.truth * count + answers, minlength=count * count)
    return cells.reshape(count, count)


def classes(content: Content, counts: Counts) -> list[ClassRow]:
    """A row for each class, in order; of over 100, those with the lowest recall, lowest first."""
    labels = [label.name for label in content.manifest.labels]
    probabilities = next(iter(content.probabilities.values()))
    figures = accuracy.per_class(probabilities, content.truth)
    shown: Sequence[int] = range(len(labels))
    if len(labels) > CLASSES:
        recalls = [2.0 if each.recall is None else each.recall for each in figures]
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
                precision=figures[index].precision,
                taken_for=labels[most] if others[most] else None,
                times=int(others[most]),
            )
        )
    return rows


def pairs(content: Content, counts: Counts) -> list[Pair]:
    """Who is taken for whom most often, at most 20."""
    labels = [label.name for label in content.manifest.labels]
    others = counts.copy()
    np.fill_diagonal(others, 0)
    order = np.argsort(-others, axis=None, kind="stable")[:PAIRS]
    found = zip(*np.unravel_index(order, others.shape), strict=True)
    return [
        Pair(labels[truth], labels[answer], int(others[truth, answer]), int(counts[truth].sum()))
        for truth, answer in found
        if others[truth, answer]
    ]


def shares(counts: Counts) -> NDArray[np.float64]:
    """Each row of counts (K, K) as shares of the class's photos; 0 for a class without any."""
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
