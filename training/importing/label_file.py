"""A file of labels -> the labels of a bundle, in the order of the graph's output.

    cat                            a label on each line
    ["cat", "dog"]                 JSON: in order,
    {"0": "cat", "1": "dog"}             by index,
    {"cat": 0, "dog": 1}                 with their index,
    {"0": ["n02123045", "tabby"]}        or by index with an id
    index <tab> synset <tab> name  a table with a header; `synset` may also be `id`

A label that occurs twice gets its id or its index as a suffix, since people and programs select
labels by name.
"""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.bundle import Label
from training.errors import DataUnusable

_Entry = tuple[str, str | None]
"""A name, and an id; None where the file has none."""


def read(file: Path) -> tuple[Label, ...]:
    """Return the labels of `file`.

    Raises:
        DataUnusable: the file can't be read, has none of these forms, or lacks a label.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise DataUnusable(f"{file} can't be read ({err.strerror}). Name a label file.") from err
    except ValueError as err:
        raise DataUnusable(f"{file} is no UTF-8 text. Save it as UTF-8.") from err
    try:
        entries = _entries(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        raise DataUnusable(
            f"{file} is not a label file ({err}). Write a label on each line, a JSON list, or a "
            "table with the columns index, id and name."
        ) from err
    if missing := [index for index, (name, _) in enumerate(entries) if not name]:
        raise DataUnusable(f"{file}: label {missing[0]} is empty. Give every class a name.")
    if len(entries) < 2:  # noqa: PLR2004
        raise DataUnusable(f"{file} has {len(entries)} labels. A classifier needs two at least.")
    return _distinct(entries)


def _entries(text: str) -> list[_Entry]:
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(json.loads(text))
    lines = text.splitlines()
    if lines and "name" in lines[0].split("\t"):
        return _from_table(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    return [(line.strip(), None) for line in lines]


def _from_json(document: Any) -> list[_Entry]:
    if isinstance(document, dict):
        if all(isinstance(value, int) for value in document.values()):
            document = {index: name for name, index in document.items()}
        rows = {int(index): value for index, value in document.items()}
        if sorted(rows) != list(range(len(document))):
            raise ValueError(f"its indices are not 0 to {len(document) - 1}")
        document = [rows[index] for index in range(len(rows))]
    return [_pair(value) for value in document]


def _pair(value: Any) -> _Entry:
    if isinstance(value, dict):
        identity = value.get("id")
        return str(value["name"]).strip(), None if identity is None else str(identity)
    if isinstance(value, list):
        identity, name = value
        return str(name).strip(), str(identity)
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no label")
    return value.strip(), None


def _from_table(lines: Sequence[str]) -> list[_Entry]:
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    if rows and "index" in rows[0]:
        rows.sort(key=lambda row: int(row["index"]))
        if [int(row["index"]) for row in rows] != list(range(len(rows))):
            raise ValueError(f"its indices are not 0 to {len(rows) - 1}")
    return [(row["name"].strip(), row.get("synset") or row.get("id") or None) for row in rows]


def _distinct(entries: Sequence[_Entry]) -> tuple[Label, ...]:
    """Return labels that differ in more than case: equal ones get a suffix."""
    counts = Counter(name.casefold() for name, _ in entries)
    labels = []
    for index, (name, identity) in enumerate(entries):
        is_repeated = counts[name.casefold()] > 1
        labels.append(
            Label(name=f"{name} ({identity or index})" if is_repeated else name, id=identity)
        )
    names = Counter(label.name.casefold() for label in labels)
    if repeated := next((label.name for label in labels if names[label.name.casefold()] > 1), None):
        raise DataUnusable(f"The label {repeated!r} occurs twice. Make the labels unique.")
    return tuple(labels)
