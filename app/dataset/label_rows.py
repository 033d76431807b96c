"""Read the rows of a table of labels: each names a file, its labels and its group, if it has one.

    table -> a header and rows -> by the columns of its form -> `ListedFile`s

Cells are separated by commas, semicolons or tabs, as spreadsheets save them. `label_table` finds
the files that are listed.
"""

import csv
import io
import unicodedata
from pathlib import Path
from typing import NamedTuple

from app.errors import BadParameter

_HEADER = ["file", "labels"]
_HEADERS = (_HEADER, [*_HEADER, "group"])
"""The headers that labels.csv may have."""
_NO_LABELS_CSV = (
    " If it is no table of labels, give it another name: folders then name the classes."
)
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
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
    rows = _read(table, _NO_LABELS_CSV)
    if list(rows[0]) not in _HEADERS:
        raise BadParameter(
            f"The header of {table} is {','.join(rows[0])}, not {','.join(_HEADER)} (or "
            f"{','.join(_HEADERS[1])}). Rename its columns and remove others, or name its format "
            f"with --labels-from.{_NO_LABELS_CSV}"
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
    labels: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row["filename"], set()).update({row["class"]} - {""})
    return [ListedFile(name, of_file) for name, of_file in labels.items()]


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


def delimiter_of(text: str) -> str:
    """Return the character that separates the cells of a table: a comma, a semicolon or a tab.

    Args:
        text: the table, which begins with a header.

    Raises:
        csv.Error: the header can't be read.
    """

    def cells(delimiter: str) -> int:
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))

    return max(_DELIMITERS, key=cells)  # a comma, if all give one cell


def _read(table: Path, advice: str = "") -> list[_Row]:
    """Return the rows of a table by the names of its columns.

    Args:
        table: the file.
        advice: what to do if it is another table; a sentence for the errors.

    Raises:
        BadParameter: the table can't be used.
    """
    try:
        text = table.read_bytes().decode("utf-8-sig")
        delimiter = delimiter_of(text)
        reader = csv.DictReader(
            io.StringIO(text, newline=""),
            delimiter=delimiter,
            skipinitialspace=True,
            restkey="",
            restval="",
        )
        names = [name.strip() for name in reader.fieldnames or []]
        if len(names) <= 1 or len(set(names)) < len(names):
            raise BadParameter(
                f"The first line of {table} is no header with different names, separated by "
                f"{', '.join(_DELIMITERS.values())}. Write one.{advice}"
            )
        reader.fieldnames = names
        rows = []
        for row in reader:
            if row.pop("", None):
                raise BadParameter(
                    f"{table} has more cells than its header in line {reader.line_num}. "
                    f"Put cells that contain {_DELIMITERS[delimiter]} in quotes "
                    f'("a{delimiter} b.jpg").'
                )
            rows.append({name: (cell or "").strip() for name, cell in row.items()})
    except UnicodeDecodeError as err:
        raise BadParameter(f"{table} is not UTF-8. Save it as UTF-8.{advice}") from err
    except (OSError, csv.Error) as err:
        raise BadParameter(f"{table} can't be read ({err}).") from err
    if not rows:
        raise BadParameter(f"{table} lists no photos. Add a line for each.{advice}")
    return rows
