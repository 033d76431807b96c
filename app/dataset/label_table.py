"""Read the labels of photos from a table or from the names of the files.

    labels.csv         header `file,labels`, labels separated by `;`: Hubel's own format; a third
                       column `group` may name what photos have in common
    roboflow           _annotations.csv with the columns filename and class
    columns            a table with a column for each label, which holds 0 or 1
    filename           name_123.jpg: the name before the number

Tables may list several labels for a photo, or none. `label_sets` returns them as they are, and
`label_files` the one label of each photo.
"""

import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from app.dataset import label_rows
from app.dataset.label_rows import ListedFile
from app.dataset.split_names import normalised
from app.errors import BadParameter

Form = Literal["labels.csv", "roboflow", "columns", "filename"]
FORMS: tuple[Form, ...] = ("labels.csv", "roboflow", "columns", "filename")
LABELS_CSV = "labels.csv"
_ANNOTATIONS = "_annotations.csv"
_CLASSES = "_classes.csv"
TABLES = (LABELS_CSV, _ANNOTATIONS, _CLASSES)
"""The names of tables of labels."""
_NUMBERED = re.compile(r"^(.+?)(?:[_.\- ]+\d+|[_.\- ]*\(\d+\))$")


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
    groups: dict[Path, str] = field(default_factory=dict)
    """The group of each file that the table gives one."""
    contradictory: list[Path] = field(default_factory=list)
    """Files that several rows give different labels; `labels` has all of them."""
    unlisted: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Files that the table lists and the folder doesn't have."""
    spelled: list[str] = field(default_factory=list)
    """Files that the table spells in other case or Unicode normalisation."""

    @property
    def several(self) -> list[Path]:
        """The files with several labels."""
        return [file for file, names in self.labels.items() if len(names) > 1]

    def without(self, files: Collection[Path]) -> "LabelSets":
        """Return the labels of the other files."""
        kept = {file: names for file, names in self.labels.items() if file not in files}
        return replace(self, labels=kept)

    def require_single(self, folder: Path) -> None:
        """Reject files with several labels.

        Raises:
            BadParameter: there are some; the message names the first.
        """
        if several := self.several:
            first = several[0]
            rows = ", in different rows" if first in self.contradictory else ""
            raise BadParameter(
                f"{self.source} gives {len(several)} photos several labels, the first is "
                f"{first.relative_to(folder).as_posix()} ({'; '.join(sorted(self.labels[first]))}"
                f"{rows}). Only a multi-label model can have several: give each photo one."
            )


def has_labels_csv(folder: Path) -> bool:
    """Return whether `folder` has a labels.csv, which is its table of labels even if it is faulty.

    Labels by the folders' names instead would be other labels, so a fault must be an error.
    """
    table = folder / LABELS_CSV
    return os.path.lexists(table) and not table.is_dir()


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
    listed = {
        "labels.csv": label_rows.of_labels_csv,
        "roboflow": label_rows.of_annotations,
        "columns": label_rows.of_columns,
    }[form](table)
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


def _joined(table: Path, files: Sequence[Path], listed: list[ListedFile]) -> LabelSets:
    """Join the rows of a table with the files of its folder.

    Raises:
        BadParameter: a file lies outside of the folder, or has two groups.
    """
    exact = {file.relative_to(table.parent).as_posix(): file for file in files}
    similar: dict[str, list[Path]] = {}
    for name, path in exact.items():
        stem = PurePosixPath(name).with_suffix("").as_posix()
        similar.setdefault(normalised(name), []).append(path)
        similar.setdefault(normalised(stem), []).append(path)
    result = LabelSets(str(table))
    rows: dict[Path, set[frozenset[str]]] = {}
    for name, names, group in listed:
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
        row = frozenset(unicodedata.normalize("NFC", text) for text in names)
        rows.setdefault(file, set()).add(row)
        if group and result.groups.setdefault(file, group) != group:
            raise BadParameter(
                f"{table} gives {name} the groups {result.groups[file]!r} and {group!r}. Give both "
                "groups the same name, since they have a photo in common."
            )
    result.labels = {file: frozenset().union(*of_file) for file, of_file in rows.items()}
    result.contradictory = [file for file, of_file in rows.items() if len(of_file) > 1]
    result.unlisted = [file for file in files if file not in result.labels]
    return result
