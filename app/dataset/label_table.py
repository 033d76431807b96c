"""Read the labels of photos from a table or from the names of the files.

    labels.csv         header `file,labels`, labels separated by `;`: Hubel's own format
    roboflow           _annotations.csv with the columns filename and class
    columns            a table with a column for each label, which holds 0 or 1
    filename           name_123.jpg: the name before the number

Tables may list several labels for a photo, or none. `label_sets` returns them as they are, and
`label_files` the one label of each photo.
"""

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from app.dataset.split_names import normalised
from app.errors import BadParameter

Form = Literal["labels.csv", "roboflow", "columns", "filename"]
FORMS: tuple[Form, ...] = ("labels.csv", "roboflow", "columns", "filename")
LABELS_CSV = "labels.csv"
_HEADER = ["file", "labels"]
_ANNOTATIONS = "_annotations.csv"
_CLASSES = "_classes.csv"
_NUMBERED = re.compile(r"^(.+?)(?:[_.\- ]+\d+|[_.\- ]*\(\d+\))$")
_BITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}

Row = dict[str, str]


@dataclass
class LabelledFiles:
    """The files of a folder by label."""

    labels: dict[Path, str] = field(default_factory=dict)
    unlabelled: list[Path] = field(default_factory=list)
    """Files without a label."""
    missing: list[str] = field(default_factory=list)
    """Files that the table lists and the folder doesn't have."""
    spelled: list[str] = field(default_factory=list)
    """Files that the table spells in other case or Unicode normalisation."""


@dataclass
class LabelSets:
    """The labels of the files of a folder: any number for each."""

    source: str
    """The source of the labels, for errors: a table, or the names of the files."""
    labels: dict[Path, frozenset[str]] = field(default_factory=dict)
    """Of every file that is listed; empty where it is listed without a label."""
    unlisted: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Files that the table lists and the folder doesn't have."""
    spelled: list[str] = field(default_factory=list)
    """Files that the table spells in other case or Unicode normalisation."""

    @property
    def has_several(self) -> bool:
        """Whether a file has several labels."""
        return any(len(names) > 1 for names in self.labels.values())

    def require_single(self, folder: Path) -> None:
        """Reject files with several labels.

        Raises:
            BadParameter: there are some; the message names the first.
        """
        several = [file for file, names in self.labels.items() if len(names) > 1]
        if several:
            first = several[0]
            raise BadParameter(
                f"{self.source} gives {len(several)} photos several labels, the first is "
                f"{first.relative_to(folder).as_posix()} ({'; '.join(sorted(self.labels[first]))})"
                ". Only a multi-label model can have several: give each photo one."
            )


def has_labels_csv(folder: Path) -> bool:
    """Return whether `folder` has a labels.csv with Hubel's header."""
    try:
        with (folder / LABELS_CSV).open(encoding="utf-8-sig", newline="") as file:
            return [name.strip() for name in next(csv.reader(file), [])] == _HEADER
    except (OSError, ValueError, csv.Error):
        return False


def label_files(folder: Path, files: Sequence[Path], form: Form) -> LabelledFiles:
    """Return the label of each of `files`, which lie below `folder`.

    Raises:
        BadParameter: there is no such table, it can't be read, or a photo has several labels.
    """
    sets = label_sets(folder, files, form)
    sets.require_single(folder)
    labels = {file: next(iter(names)) for file, names in sets.labels.items() if names}
    rest = {*sets.labels, *sets.unlisted} - labels.keys()
    unlabelled = [file for file in files if file in rest]
    return LabelledFiles(labels, unlabelled, sets.missing, sets.spelled)


def label_sets(folder: Path, files: Sequence[Path], form: Form) -> LabelSets:
    """Return all labels of each of `files`, which lie below `folder`.

    Raises:
        BadParameter: there is no such table, or it can't be read.
    """
    if form == "filename":
        return _by_name(files)
    table = _table(folder, form)
    rows = _read(table)
    listed = {
        "labels.csv": _from_labels_csv,
        "roboflow": _from_annotations,
        "columns": _from_columns,
    }[form](table, rows)
    return _joined(table, [file for file in files if file != table], listed)


def looks_numbered(files: Sequence[Path]) -> bool:
    """Return whether most names are like cat_12.jpg, with at least two different names."""
    names = [match[1] for file in files if (match := _NUMBERED.match(file.stem))]
    return len(names) > len(files) / 2 and len(set(names)) > 1


def _by_name(files: Sequence[Path]) -> LabelSets:
    result = LabelSets("The name")
    for file in files:
        if match := _NUMBERED.match(file.stem):
            result.labels[file] = frozenset({unicodedata.normalize("NFC", match[1])})
        else:
            result.unlisted.append(file)
    return result


def _table(folder: Path, form: Form) -> Path:
    tables = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
    if form == "columns":
        named = [path for path in tables if path.name == _CLASSES] or tables
        if len(named) == 1:
            return named[0]
        raise BadParameter(
            f"{folder} has {len(named)} tables (*.csv), and --labels-from columns needs one. "
            f"Name it {_CLASSES}."
        )
    path = folder / (LABELS_CSV if form == "labels.csv" else _ANNOTATIONS)
    if not path.is_file():
        raise BadParameter(f"There is no {path}. Add it, or choose another --labels-from.")
    return path


def _read(table: Path) -> list[Row]:
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


def _from_labels_csv(table: Path, rows: list[Row]) -> list[tuple[str, set[str]]]:
    if list(rows[0]) != _HEADER:
        raise BadParameter(
            f"The header of {table} is {','.join(rows[0])}, not {','.join(_HEADER)}. "
            "Rename its columns, or name its format with --labels-from."
        )
    return [
        (row["file"], {label.strip() for label in row["labels"].split(";") if label.strip()})
        for row in rows
    ]


def _from_annotations(table: Path, rows: list[Row]) -> list[tuple[str, set[str]]]:
    if missing := {"filename", "class"} - set(rows[0]):
        raise BadParameter(
            f"{table} has no column {sorted(missing)[0]!r}. Export it with filename and class."
        )
    return [(row["filename"], {row["class"]} - {""}) for row in rows]


def _from_columns(table: Path, rows: list[Row]) -> list[tuple[str, set[str]]]:
    file, *labels = rows[0]
    for row in rows:
        for label in labels:
            if row[label] not in _BITS:
                raise BadParameter(
                    f"Column {label!r} of {table} holds {row[label]!r}, and the columns of labels "
                    "hold 0 or 1. Remove columns that are no labels."
                )
    return [(row[file], {label for label in labels if _BITS[row[label]]}) for row in rows]


def _joined(table: Path, files: Sequence[Path], listed: list[tuple[str, set[str]]]) -> LabelSets:
    """Join the rows of a table with the files of its folder."""
    exact = {file.relative_to(table.parent).as_posix(): file for file in files}
    similar: dict[str, list[Path]] = {}
    for name, path in exact.items():
        stem = PurePosixPath(name).with_suffix("").as_posix()
        similar.setdefault(normalised(name), []).append(path)
        similar.setdefault(normalised(stem), []).append(path)
    result = LabelSets(str(table))
    labels: dict[Path, set[str]] = {}
    for name, names in listed:
        listed_path = PurePosixPath(name.replace("\\", "/"))
        if listed_path.is_absolute() or ".." in listed_path.parts:
            raise BadParameter(
                f"{table} names {name}, which lies outside of its folder. Name files relative to "
                "the table."
            )
        file: Path | None = exact.get(listed_path.as_posix())
        candidates = similar.get(normalised(listed_path.as_posix()), [])
        if file is None and len(candidates) == 1:
            (file,) = candidates
            if listed_path.suffix:
                result.spelled.append(name)
        if file is None:
            result.missing.append(name)
            continue
        labels.setdefault(file, set()).update(unicodedata.normalize("NFC", text) for text in names)
    result.labels = {file: frozenset(names) for file, names in labels.items()}
    result.unlisted = [file for file in files if file not in result.labels]
    return result
