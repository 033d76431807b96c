"""Reads captures from the database: one, a page of them, or those of a request."""

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from app.captures.capture import Capture, Filter, Order, Prediction

_SELECT = (
    "SELECT captures.*, photos.bytes, photos.format, photos.width, photos.height FROM captures"
)
_PHOTO = "JOIN photos ON photos.sha256 = captures.sha256"


class Position(NamedTuple):
    """Where a page ended."""

    value: float
    """What the list is ordered by."""
    id: int


def capture_of(connection: sqlite3.Connection, id: int) -> Capture | None:
    """Return a capture, or None if there is no such."""
    rows = connection.execute(f"{_SELECT} {_PHOTO} WHERE id = ?", (id,)).fetchall()
    return _captures(connection, rows)[0] if rows else None


def captures_of_request(
    connection: sqlite3.Connection, request_id: str, index: int
) -> list[Capture]:
    """Return the captures of a photo of a request, the latest first."""
    rows = connection.execute(
        f"{_SELECT} {_PHOTO} WHERE request_id = ? AND photo_index = ? ORDER BY id DESC",
        (request_id, index),
    ).fetchall()
    return _captures(connection, rows)


def page_of(
    connection: sqlite3.Connection,
    filter: Filter,
    order: Order,
    after: Position | None,
    count: int,
) -> tuple[list[Capture], Position | None]:
    """Return the next captures of a list, and where they end; None after the last.

    Args:
        connection: to the database.
        filter: which captures the list has.
        order: how it is ordered.
        after: where the page before ended; None for the first page.
        count: how many captures are returned at most.
    """
    conditions, values = conditions_of(filter)
    if order == "newest":
        # the labels' own column, so that their index gives the order
        column = "captures.id" if filter.label is None else "capture_id"
        direction = f"{column} DESC"
        if after is not None:
            conditions.append(f"{column} < ?")
            values.append(after.id)
    else:
        direction = "confidence, captures.id"
        if after is not None:
            conditions.append("(confidence, captures.id) > (?, ?)")
            values += [after.value, after.id]
    source = "" if filter.label is None else "JOIN labels ON capture_id = captures.id"
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        f"{_SELECT} {source} {_PHOTO} {where} ORDER BY {direction} LIMIT ?", (*values, count + 1)
    ).fetchall()
    shown = rows[:count]
    end = None
    if len(rows) > count:
        value = shown[-1]["id" if order == "newest" else "confidence"]
        end = Position(value, shown[-1]["id"])
    return _captures(connection, shown), end


def conditions_of(filter: Filter) -> tuple[list[str], list[object]]:
    """Return the conditions of a filter in SQL, and their values."""
    conditions: list[str] = []
    values: list[object] = []
    for condition, value in (
        ("model = ?", filter.model),
        ("decision = ?", filter.decision),
        ("predicted = ?", filter.predicted),
        ("captured_ms >= ?", filter.since_ms),
        ("captured_ms < ?", filter.until_ms),
        ("label = ?", filter.label),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if filter.labelled is not None:
        conditions.append(f"labelled_ms IS {'NOT ' if filter.labelled else ''}NULL")
    if filter.ids is not None:
        conditions.append(f"captures.id IN ({', '.join('?' * len(filter.ids))})")
        values += filter.ids
    return conditions, values


def _captures(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[Capture]:
    labels: dict[int, list[str]] = {row["id"]: [] for row in rows}
    marks = ", ".join("?" * len(labels))
    for row in connection.execute(
        f"SELECT capture_id, label FROM labels WHERE capture_id IN ({marks}) ORDER BY place",
        list(labels),
    ):
        labels[row["capture_id"]].append(row["label"])
    return [_capture(row, labels[row["id"]]) for row in rows]


def _capture(row: sqlite3.Row, labels: Sequence[str]) -> Capture:
    return Capture(
        id=row["id"],
        sha256=row["sha256"],
        bytes=row["bytes"],
        format=row["format"],
        width=row["width"],
        height=row["height"],
        request_id=row["request_id"],
        index=row["photo_index"],
        model=row["model"],
        version=row["version"],
        decision=row["decision"],
        predictions=tuple(Prediction(*pair) for pair in json.loads(row["predictions"])),
        reason=row["reason"],
        captured_ms=row["captured_ms"],
        labels=None if row["labelled_ms"] is None else tuple(labels),
        wrong=bool(row["wrong"]),
        labelled_ms=row["labelled_ms"],
        labelled_by=row["labelled_by"],
    )
