"""Select the photos of each cell of the confusion matrix, which a link in the matrix opens.

Mistakes come first: the most confident ones of a cell. Of the right predictions, the least
confident ones are shown. Photos beyond the limits are named without a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.report.content import Content
from training.report.photo_examples import Picture, picture_of

WRONG = 24
"""Pictures of a cell of mistakes at most."""
RIGHT = 12
"""Pictures of a cell of right predictions at most."""
PICTURES = 480
"""Pictures of all cells at most, shared by the cells in turn."""
NAMES = 500
"""Names of a cell without a picture at most."""


@dataclass(frozen=True)
class Cell:
    """The photos of one class that get one prediction."""

    id: str
    """The target of links, unique in the page."""
    truth: str
    predicted: str
    photos: int
    pictures: list[Picture]
    names: list[str]
    """More photos, without a picture."""
    unnamed: int
    """Photos that are neither shown nor named."""

    @property
    def is_right(self) -> bool:
        """True on the diagonal of the matrix."""
        return self.truth == self.predicted


def cell_id(truth: int, predicted: int) -> str:
    """Return the target of the links to a cell."""
    return f"cell-{truth}-{predicted}"


def cells(content: Content, pairs: Sequence[tuple[int, int]]) -> list[Cell]:
    """Return the cells of these pairs of class and prediction that hold photos."""
    probabilities = next(iter(content.probabilities.values()))
    predicted, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    members = []
    for truth, label in pairs:
        inside = np.flatnonzero((content.truth == truth) & (predicted == label))
        order = highest[inside] if truth == label else -highest[inside]
        members.append(inside[np.argsort(order, kind="stable")])
    limits = [RIGHT if truth == label else WRONG for truth, label in pairs]
    return [
        _cell(content, pair, of_cell, count)
        for pair, of_cell, count in zip(pairs, members, _shared(members, limits), strict=True)
        if len(of_cell)
    ]


def _shared(members: Sequence[NDArray[np.intp]], limits: Sequence[int]) -> list[int]:
    """Return the pictures of each cell: a round of one for each, until the limits are reached."""
    counts = [0] * len(members)
    left = PICTURES
    while left:
        open_ = [
            index
            for index, (of_cell, limit) in enumerate(zip(members, limits, strict=True))
            if counts[index] < min(limit, len(of_cell))
        ][:left]
        if not open_:
            break
        for index in open_:
            counts[index] += 1
        left -= len(open_)
    return counts


def _cell(
    content: Content, pair: tuple[int, int], members: NDArray[np.intp], pictures: int
) -> Cell:
    truth, predicted = pair
    labels, rest = content.manifest.labels, members[pictures:].tolist()
    return Cell(
        id=cell_id(truth, predicted),
        truth=labels[truth].name,
        predicted=labels[predicted].name,
        photos=len(members),
        pictures=[picture_of(content, index) for index in members[:pictures].tolist()],
        names=[content.names[index] for index in rest[:NAMES]],
        unnamed=max(0, len(rest) - NAMES),
    )
