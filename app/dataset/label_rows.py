"""Read the rows of a table of labels: each names a file, its labels and its group, if it has one.

    table -> a header and rows -> by the columns of its form -> `ListedFile`s

The table's files are looked up by `label_table`.
"""

import csv
import unicodedata
from pathlib import Path
from typing import NamedTuple

from app.errors import BadParameter

_HEADER = ["file", "labels"]
HEADERS = (_HEADER, [*_HEADER, "group"])
"""The headers that labels.csv may have."""
_BITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}

_Row = dict[str, str]


class ListedFile(NamedTuple):
    """A file of a table."""

    name: str
    labels: set[str]
    group: str = ""
    """What photos that aren't independent have in common, such as a scene; empty: nothing."""


def of_labels_csv(table: Path) -> list[ListedFile]:
    """Return the files of a labels.csv.

    Raises:
        BadParameter: the table can't be used.
    """
    rows = _read(table)
    if list(rows[0]) not in HEADERS:
        raise BadParameter(
            f"The header of {table} is {','.join(rows[0])}, not {','.join(_HEADER)} (or "
            f"{','.join(HEADERS[1])}). Rename its columns, or name its format with --labels-from."
        )
    return [
        ListedFile(
            row["file"],
            {label.strip() for label in row["labels"].split(";") if label.strip()},
            unicodedata.normalize("NFC", row.get("group", "")),
        )
        for row in rows
    ]


def of_annotations(table: Path) -> list[ListedFile]:
    """Return the files of an export of Roboflow, which has a row for each box.

    Raises:
        BadParameter: the table can't be used.
    """
    rows = _read(table)
    if missing := {"filename", "class"} - set(rows[0]):
        raise BadParameter(
            f"{table} has no column {sorted(missing)[0]!r}. Export it with filename and class."
        )
    return [ListedFile(row["filename"], {row["class"]} - {""}) for row in rows]


def of_columns(table: Path) -> list[ListedFile]:
    """Return the files of a table with a column for each label.

    Raises:
        BadParameter: the table can't be used.
    """
    rows = _read(table)
    file, *labels = rows[0]
    for row in rows:
        for label in labels:
            if row[label] not in _BITS:
                raise BadParameter(
                    f"Column {label!r} of {table} holds {row[label]!r}, and the columns of labels "
                    "hold 0 or 1. Remove columns that are no labels."
                )
    return [ListedFile(row[file], {label for label in labels if _BITS[row[label]]}) for row in rows]


def _read(table: Path) -> list[_Row]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, restkey="", restval="")
            names = [name.strip() for name in reader.fieldnames or []]
            if len(names) <= 1 or len(set(names)) < len(names):
                raise BadParameter(
                    f"The first line of {table} is no header with different names, separated by "
                    "commas. Write one."
                )
            reader.fieldnames = names
            rows = []
            for row in reader:
                if row.pop("", None):
                    raise BadParameter(
                        f"{table} has more cells than its header in line {reader.line_num}. "
                        'Put names that contain commas in quotes ("a, b.jpg").'
                    )
                rows.append({name: (cell or "").strip() for name, cell in row.items()})
    except UnicodeDecodeError as err:
        raise BadParameter(f"{table} is not UTF-8. Save it as UTF-8.") from err
    except (OSError, csv.Error) as err:
        raise BadParameter(f"{table} can't be read ({err}).") from err
    if not rows:
        raise BadParameter(f"{table} lists no photos. Add a line for each.")
    return rows
