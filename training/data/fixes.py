"""Correct labels by a table, without touching the photos: `hubel train --fixes FILE`.

    report/suspects.csv, its column `fix` filled in -> other labels, photos that are left out

The column `fix` holds the right label, or `drop` (or `-`) to leave the photo out. Where it is
empty, the photo keeps its label. Any photo of the data may be listed. Columns other than `file`
and `fix` are ignored.
"""

import csv
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from app.dataset.label_rows import delimiter_of
from training.data.layout import Dataset
from training.errors import DataUnusable

HEADER = ("file", "label", "suggested", "probability_of_label", "probability_of_suggested", "fix")
_DROP = "drop"
_ALWAYS_DROP = "-"


@dataclass(frozen=True)
class Fixed:
    """A dataset with corrected labels."""

    dataset: Dataset
    relabelled: int
    dropped: int

    @property
    def line(self) -> str:
        """A line for the terminal."""
        return f"fixes: {self.relabelled} photos relabelled, {self.dropped} left out"


def apply(dataset: Dataset, table: Path) -> Fixed:
    """Return the dataset with the fixes of a table.

    Raises:
        DataUnusable: the table can't be read, or names a file or a label that is not in the data.
    """
    labels = {unicodedata.normalize("NFC", label): label for label in dataset.labels}
    names = {file.name for file in dataset.files}
    label_of: dict[str, str] = {}
    dropped: set[str] = set()
    for line, cell, fix in _rows(table):
        name = cell if cell in names else cell.strip()
        where = f"{table}, line {line}"
        if name not in names:
            raise DataUnusable(
                f"{where}: {name!r} is no labelled file of {dataset.name}. Correct or remove the "
                "line."
            )
        if name in label_of or name in dropped:
            raise DataUnusable(f"{where}: {name!r} has a fix already. Remove one of the lines.")
        if fix == _ALWAYS_DROP or (fix.casefold() == _DROP and fix not in labels):
            dropped.add(name)
        elif fix in labels:
            label_of[name] = labels[fix]
        else:
            raise DataUnusable(
                f"{where}: {fix!r} is no class of {dataset.name}. Write one of its classes, such "
                f"as {dataset.labels[0]!r}, or {_DROP}."
            )
    files = tuple(
        replace(file, label=label_of.get(file.name, file.label))
        for file in dataset.files
        if file.name not in dropped
    )
    changed = sum(
        file.name in label_of and label_of[file.name] != file.label for file in dataset.files
    )
    return Fixed(replace(dataset, files=files), changed, len(dropped))


def _rows(table: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the number of the line, the file and the fix of each row that has one."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise DataUnusable(f"{table} is not UTF-8. Save it as UTF-8.") from err
    except OSError as err:
        raise DataUnusable(f"{table} can't be read ({err.strerror}).") from err
    try:
        reader = csv.DictReader(
            io.StringIO(text, newline=""),
            delimiter=delimiter_of(text),
            skipinitialspace=True,
            restval="",
        )
        if not {"file", "fix"} <= set(reader.fieldnames or []):
            raise DataUnusable(
                f"{table} has no columns file and fix. Fill in the column fix of a copy of "
                "report/suspects.csv, which `hubel train` writes."
            )
        for row in reader:
            if fix := row["fix"].strip():
                yield reader.line_num, row["file"], unicodedata.normalize("NFC", fix)
    except csv.Error as err:
        raise DataUnusable(f"{table} can't be read ({err}).") from err
