"""The order in which people review photos: those that teach the model most come first.

    unsure | unknown, then the others; each the least confident first -> windows of 240 photos
    -> in each window: the first, then always the photo with the largest product of
       its distance from all before it, and its weight, which falls from 1 to 0 along the window

So the first screen isn't twenty photos of one scene: photos that look alike to the model come at
the end of their window. The rule is greedy farthest-first traversal (Gonzalez 1985, "Clustering to
Minimize the Maximum Intercluster Distance") of the sketches; without the weight it would begin with
outliers, whatever their confidence. It covers the first 10,000 photos; the others follow by
confidence.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from app.captures.capture import Filter, ReviewOrder
from app.captures.rows import conditions_of
from app.captures.sketch import SKETCH_BYTES, cosines

WINDOW = 240
VARIED_PHOTOS = 10_000
_UNDECIDED = "decision IS NOT NULL AND decision != 'accepted'"
_ORDERS = {
    "newest": "captures.id DESC",
    "unsure": "confidence, captures.id",
    "varied": f"{_UNDECIDED} DESC, confidence, captures.id",
}
_NO_SKETCH = bytes(SKETCH_BYTES)


def ordered_ids(
    connection: sqlite3.Connection, filter: Filter, order: ReviewOrder, count: int
) -> list[int]:
    """Return the ids of the first `count` captures of a list, in its order."""
    conditions, values = conditions_of(filter)
    source = "" if filter.label is None else "JOIN labels ON capture_id = captures.id"
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    tail = f"FROM captures {source} {where} ORDER BY {_ORDERS[order]} LIMIT ?"
    varied: list[int] = []
    if order == "varied":
        rows = connection.execute(
            f"SELECT captures.id, {_UNDECIDED} AS undecided, model, version, sketch {tail}",
            (*values, VARIED_PHOTOS),
        ).fetchall()
        varied = [rows[place]["id"] for place in _varied_places(rows)][:count]
    rest = connection.execute(
        f"SELECT captures.id {tail} OFFSET ?", (*values, count - len(varied), len(varied))
    )
    return varied + [row["id"] for row in rest]


def _varied_places(rows: Sequence[sqlite3.Row]) -> Iterator[int]:
    """Yield the places of rows, each window's in their new order."""
    undecided = sum(row["undecided"] for row in rows)
    for start, end in ((0, undecided), (undecided, len(rows))):
        for first in range(start, end, WINDOW):
            window = rows[first : min(first + WINDOW, end)]
            for place in farthest_first(_likeness(window)):
                yield first + place


def _likeness(rows: Sequence[sqlite3.Row]) -> NDArray[np.float32]:
    """Return the cosine (N, N) of each two rows; 0 for features of different models."""
    joined = b"".join(row["sketch"] or _NO_SKETCH for row in rows)
    found = cosines(np.frombuffer(joined, np.int8).reshape(len(rows), SKETCH_BYTES))
    numbers: dict[tuple[str, int], int] = {}
    model = np.array([numbers.setdefault((r["model"], r["version"]), len(numbers)) for r in rows])
    if len(numbers) > 1:
        found[model[:, np.newaxis] != model] = 0.0
    return found


def farthest_first(likeness: NDArray[np.float32]) -> list[int]:
    """Return an order of N photos: the first, then always the farthest one, weighted by its place.

    Args:
        likeness: the cosine (N, N) of each two photos; their distance is 1 less it.
    """
    count = len(likeness)
    weight = 1 - np.arange(count, dtype=np.float32) / count
    nearest = np.full(count, -1, np.float32)
    is_left = np.ones(count, bool)
    order = [0]
    for _ in range(1, count):
        np.maximum(nearest, likeness[order[-1]], out=nearest)
        is_left[order[-1]] = False
        score = np.where(is_left, weight * (1 - nearest), -np.inf)
        order.append(int(score.argmax()))
    return order
