"""DATA -> its files, each with its class and the part of the split that it was put in.

    DATA/cat/1.jpg             a folder per class; folders inside it belong to the class
    DATA/train/cat/1.jpg       where DATA has train/ beside val/ or test/ (or alone), the split is
    DATA/test/cat/2.jpg        given, and used as it is; val/ may be called validation/ or valid/

Nothing is opened here. What is out of place is kept by name, for training.data.findings to tell.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
"""By name, what a folder holds; others call val/ by other names."""


@dataclass(frozen=True)
class File:
    """A file in the folder of a class; whether it is a photo is not known yet."""

    path: Path
    name: str
    """Its place within DATA, with forward slashes."""
    label: str
    part: Part | None
    """None where the split is not given."""


@dataclass(frozen=True)
class Dataset:
    """What lies in DATA, by names alone."""

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
    """List what DATA holds; hidden files and folders are passed over.

    Raises:
        DataUnusable: it is no folder, or it has two for the same part of a split.
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
            found = [
                File(path, name_below(path, data), printable(entry.name), part)
                for path in _below(entry)
                if path.is_file()
            ]
            files += found
            nested += [name_below(path, data) for path in _below(entry) if path.is_dir()]
            if not found:
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


def _given(folders: set[str]) -> list[str]:
    """The folders of a given split, in the order of `PARTS`.

    A class may be called `train` (beside `bus`), so that alone says nothing.

    Raises:
        DataUnusable: two of them hold the same part.
    """
    found = [folder for folder in _FOLDERS if folder in folders]
    if found[:1] != ["train"] or (len(found) == 1 and len(folders) > 1):
        return []
    of_val = [folder for folder in found if _FOLDERS[folder] == "val"]
    if len(of_val) > 1:
        raise DataUnusable(
            f"{' and '.join(f'{folder}/' for folder in of_val)} stand beside train/, and one "
            "folder can be what is chosen by. Merge them, or move one away."
        )
    return found


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _below(folder: Path) -> Iterator[Path]:
    """Everything below `folder` that isn't hidden, itself aside."""
    for entry in _visible(folder):
        yield entry
        if entry.is_dir():
            yield from _below(entry)


def name_below(path: Path, data: Path) -> str:
    """Its place within DATA, with forward slashes, printable."""
    return printable(path.relative_to(data).as_posix())


def printable(name: str) -> str:
    """`name` as text that can be printed: bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
