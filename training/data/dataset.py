"""The files of a data folder: each with its class or its labels, and its part of a given split."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import Task
from app.dataset.split_names import Part
from training.errors import DataUnusable


@dataclass(frozen=True)
class File:
    """A file in the folder of a class, which may or may not be a photo."""

    path: Path
    name: str
    """Its path within DATA, with forward slashes."""
    label: str
    """The class; of multi-label data all labels, separated by semicolons."""
    part: Part | None
    """None where the split is not given."""
    labels: tuple[str, ...] = ()
    """Of multi-label data: all its labels, sorted; `label` is these in one text."""
    group: str = ""
    """The group that a table gives it; empty: none."""

    def with_labels(self, labels: Iterable[str]) -> "File":
        """Return the file with other labels, of multi-label data."""
        names = tuple(sorted(labels))
        return replace(self, label="; ".join(names), labels=names)


@dataclass(frozen=True)
class Dataset:
    """The files and folders of DATA."""

    name: str
    files: tuple[File, ...]
    """Sorted by name."""
    given: tuple[Part, ...]
    """The parts of the split that DATA has folders for."""
    empty: tuple[str, ...] = ()
    """Folders of a class without any file."""
    nested: tuple[str, ...] = ()
    """Folders inside a class's folder; their files count for the class."""
    stray: tuple[str, ...] = ()
    """Files and folders that belong to no class, and links that lead back."""
    unlabelled: tuple[str, ...] = ()
    """Photos without a label in the table, or by their names."""
    without_label: int = 0
    """Of single-label data: photos that a table lists, and gives no label."""
    missing: tuple[str, ...] = ()
    """Files that the table lists and the folder doesn't have."""
    contradictory: tuple[str, ...] = ()
    """Files that rows of a table give different labels, with these."""
    spelling: tuple[str, ...] = ()
    """Names that differ in case or Unicode normalisation alone and count as one."""
    small: tuple[str, ...] = ()
    """Classes that are left out because they have too few photos."""
    task: Task = "single_label"

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that have a file, sorted."""
        if self.task == "multi_label":
            return tuple(sorted({label for file in self.files for label in file.labels}))
        return tuple(sorted({file.label for file in self.files}))

    def without(self, small: Mapping[str, int]) -> "Dataset":
        """Return the dataset without the classes `small`, which have so many photos each.

        Multi-label photos stay, without these labels.
        """
        files = (
            tuple(file.with_labels(set(file.labels) - small.keys()) for file in self.files)
            if self.task == "multi_label"
            else tuple(file for file in self.files if file.label not in small)
        )
        return replace(
            self,
            files=files,
            small=tuple(f"{label} {count}" for label, count in sorted(small.items())),
        )


def class_indices(files: Iterable[File], ids: Sequence[str]) -> NDArray[np.intp]:
    """Return the class index of each file, (N,); its folder's name must be one of `ids`.

    Raises:
        DataUnusable: a folder has another name.
    """
    index_of = {name: index for index, name in enumerate(ids)}
    try:
        return np.array([index_of[file.label] for file in files], np.intp)
    except KeyError as err:
        raise DataUnusable(
            f"Folder {err.args[0]!r} is not a label id such as {ids[0]!r}. Rename or remove it."
        ) from err


def name_below(path: Path, data: Path) -> str:
    """Return the path within DATA, with forward slashes, printable."""
    return printable(path.relative_to(data).as_posix())


def printable(name: str) -> str:
    """Return `name` as text that can be printed: bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
