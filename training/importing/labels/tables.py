"""Labels in a table with a header: CSV with commas or semicolons, or tab-separated values.

    index,mid,display_name      a column with the names, and one with indices or ids
    0,/m/1,ant

The columns are found by their usual titles; a column of whole numbers never holds the names.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Literal

from training.importing.labels.documents import ID_KEYS, INDEX_KEYS, NAME_KEYS
from training.importing.labels.entry import Entries, Entry, UnclearLabels, integer

_DELIMITERS = ("\t", ",", ";", "|")
_NAMES = (*NAME_KEYS, "names", "labels", "classname", "category", "species", "description")
_INDICES = ("index", "idx")
_INDICES_IF_NUMERIC = (*INDEX_KEYS, "", "#", "no", "number", "label", "class", "target", "classid")
_ALONE = frozenset({"name", "names", "label", "labels", "class_name", "display_name", "classname"})
"""Titles that are a header also where they are the only column."""
_ADVICE = "Write a table with the columns index and name."


def is_table(text: str) -> bool:
    """Return whether the first line of `text` is a header with a column of names."""
    first = text.split("\n", 1)[0]
    titles = _titles(first, _delimiter(first))
    if len(titles) == 1:
        return titles[0] in _ALONE
    return any(title in _NAMES for title in titles)


def read_table(text: str) -> Entries:
    """Return the entries of a table.

    Raises:
        UnclearLabels: a row is incomplete, or no column holds names.
    """
    first = text.split("\n", 1)[0]
    delimiter = _delimiter(first)
    titles = _titles(first, delimiter)
    if {"file", "labels"} <= set(titles):
        raise UnclearLabels(
            "it lists photos with their labels. Name a file that lists the model's classes."
        )
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting))
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if any(map(str.strip, row))]
    for number, row in body:
        if len(row) != len(titles):
            raise UnclearLabels(
                f"line {number} has {len(row)} cells, and the header has {len(titles)}. {_ADVICE}"
            )
    columns = {title: [row[place].strip() for _, row in body] for place, title in enumerate(titles)}
    return _entries(columns, len(body))


def _entries(columns: Mapping[str, Sequence[str]], count: int) -> Entries:
    numeric = {t for t, cells in columns.items() if cells and None not in map(integer, cells)}
    name = next((title for title in _NAMES if title in columns and title not in numeric), None)
    if name is None:
        raise UnclearLabels(f"no column holds names: it has {', '.join(columns)}. {_ADVICE}")
    index = next((title for title in _INDICES if title in columns), None)
    if index is None:
        index = next((title for title in _INDICES_IF_NUMERIC if title in numeric), None)
    elif index not in numeric and count:
        wrong = next(cell for cell in columns[index] if integer(cell) is None)
        raise UnclearLabels(f"the index {wrong!r} is no whole number. {_ADVICE}")
    identity = next((title for title in ID_KEYS if title in columns and title != name), None)
    entries = [
        Entry(
            columns[name][row],
            None if index is None else integer(columns[index][row]),
            (columns[identity][row] or None) if identity else None,
        )
        for row in range(count)
    ]
    return Entries(entries, f"of the column {name!r}")


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _titles(header: str, delimiter: str) -> list[str]:
    cells = next(csv.reader([header.strip("\r\n")], delimiter=delimiter), [])
    return [cell.strip().casefold().replace(" ", "_") for cell in cells]
