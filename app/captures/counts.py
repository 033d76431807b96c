"""How many captures there are of each model, decision, predicted label and label of people."""

import sqlite3
from dataclasses import dataclass

_MOST_LABELS = 1000
"""The most labels of each kind that are listed, the most frequent first."""


@dataclass(frozen=True)
class Counts:
    """Numbers of captures."""

    captures: int
    labelled: int
    models: dict[str, int]
    decisions: dict[str, int]
    predicted: dict[str, int]
    """By the most probable label."""
    labels: dict[str, int]
    """By the labels that people gave."""


def counts_of(connection: sqlite3.Connection, model: str | None) -> Counts:
    """Return the numbers of captures; all but `models` are those of `model`, if one is given."""
    where, values = ("", ()) if model is None else ("WHERE model = ?", (model,))
    both = "AND" if where else "WHERE"

    def by(column: str, rest: str = where, given: tuple[str, ...] = values) -> dict[str, int]:
        rows = connection.execute(
            f"SELECT {column} AS name, count(*) AS captures FROM captures {rest} "
            f"GROUP BY {column} ORDER BY captures DESC, {column} LIMIT {_MOST_LABELS}",
            given,
        )
        return {row["name"]: row["captures"] for row in rows}

    labelled = connection.execute(
        f"SELECT count(*) FROM captures {where} {both} labelled_ms IS NOT NULL", values
    ).fetchone()[0]
    models = by("model", "", ())
    return Counts(
        captures=sum(models.values()) if model is None else models.get(model, 0),
        labelled=labelled,
        models=models,
        decisions=by("decision", f"{where} {both} decision IS NOT NULL"),
        predicted=by("predicted"),
        labels=by("label", f"JOIN labels ON capture_id = captures.id {where}"),
    )
