"""List the files of a data folder, each with its class and its part of a given split.

    DATA/cat/1.jpg             a folder per class; folders inside it belong to the class
    DATA/train/cat/1.jpg       a given split: train/ alone, or beside val/ or test/
    DATA/test/cat/2.jpg

A given split is used unchanged; val/ may be called validation/ or valid/. No file is opened here.
Stray files are listed by name; training.data.findings reports them.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.errors import DataUnusable

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
_FOLDERS: dict[str, Part] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
}
"""The part that a folder of this name holds; other programs have other names for val/."""


@dataclass(frozen=True)
class File:
    """A file in the folder of a class, which may or may not be a photo."""

    path: Path
    name: str
    """Its path within DATA, with forward slashes."""
    label: str
    part: Part | None
    """None where the split is not given."""


@dataclass(frozen=True)
class Dataset:
    """The files and folders of DATA; no file is opened."""

    name: str
    files: tuple[File, ...]
    """Sorted by name."""
    given: tuple[Part, ...]
    """The parts of the split that DATA has folders for."""
    empty: tuple[str, ...]
    """Folders of a class without any file."""
    nested: tuple[str, ...]
    """Folders inside a class's folder; their files count for the class."""
    stray: tuple[str, ...]
    """Files and folders that belong to no class."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that have a file, sorted."""
        return tuple(sorted({file.label for file in self.files}))


def scan_folder(data: Path) -> Dataset:
    """List the files of DATA; hidden files and folders are skipped.

    Raises:
        DataUnusable: it is no folder, or it has two folders for the same part of a split.
    """
    if not data.is_dir():
        raise DataUnusable(f"{data} is not a folder. Name one that holds a folder per class.")
    folders = {entry.name for entry in _visible(data) if entry.is_dir()}
    given = _given(folders)
    files: list[File] = []
    empty, nested, stray = [], [], []
    roots: dict[Part | None, Path] = {_FOLDERS[folder]: data / folder for folder in given} or {
        None: data
    }
    for part, root in roots.items():
        for entry in _visible(root):
            if not entry.is_dir():
                stray.append(name_below(entry, data))
                continue
            own = [
                File(path, name_below(path, data), printable(entry.name), part)
                for path in _entries_inside(entry)
                if path.is_file()
            ]
            files += own
            nested += [name_below(path, data) for path in _entries_inside(entry) if path.is_dir()]
            if not own:
                empty.append(name_below(entry, data))
    if given:
        stray += [name_below(entry, data) for entry in _visible(data) if entry.name not in given]
    files.sort(key=lambda file: file.name)
    return Dataset(
        name=data.resolve().name,
        files=tuple(files),
        given=tuple(_FOLDERS[folder] for folder in given),
        empty=tuple(empty),
        nested=tuple(nested),
        stray=tuple(sorted(stray)),
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


def _given(folders: set[str]) -> list[str]:
    """Return the folders of a given split, in the order of `PARTS`.

    A folder named `train` may be a class, as in train, bus, car. It counts as a part of the split
    only beside val/ or test/, or alone.

    Raises:
        DataUnusable: two of them hold the same part.
    """
    parts = [folder for folder in _FOLDERS if folder in folders]
    if parts[:1] != ["train"] or (len(parts) == 1 and len(folders) > 1):
        return []
    of_val = [folder for folder in parts if _FOLDERS[folder] == "val"]
    if len(of_val) > 1:
        raise DataUnusable(
            f"{' and '.join(f'{folder}/' for folder in of_val)} stand beside train/, and only "
            "one folder can hold the validation photos. Merge them, or move one away."
        )
    return parts


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _entries_inside(folder: Path) -> Iterator[Path]:
    """Yield all files and folders below `folder`, except hidden ones."""
    for entry in _visible(folder):
        yield entry
        if entry.is_dir():
            yield from _entries_inside(entry)


def name_below(path: Path, data: Path) -> str:
    """Return the path within DATA, with forward slashes, printable."""
    return printable(path.relative_to(data).as_posix())


def printable(name: str) -> str:
    """Return `name` as text that can be printed: bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
