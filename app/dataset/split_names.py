"""Recognise the parts of a split by the names of folders.

DATA/train/cat  DATA/Test/cat                   in any case
DATA/training_set/training_set/cat              nested, as some archives are
DATA/seg_train/seg_train/cat  DATA/valid/cat    the usual spellings
"""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from app.dataset.files import SUFFIXES, visible
from app.errors import BadParameter

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
_PART_OF: Mapping[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_FILLERS = frozenset({"set", "data", "dataset", "images", "image", "photos", "seg", "split"})
_JOINED = re.compile(r"^(train|training|val|valid|validation|dev|test|testing)(set|data|images)$")
_YEAR = re.compile(r"(?<=[a-z])(19|20)\d\d$")
_SAME_SHARE = 0.5
"""Share of all names of sub-folders that two folders must have in common to look like a split."""
_MIN_SAME = 2


def normalised(name: str) -> str:
    """Return a name for comparison: in NFC, and without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def part_named(name: str) -> Part | None:
    """Return the part that a folder of this name usually holds: Train, test_set, validation."""
    tokens = [_YEAR.sub("", token) for token in re.split(r"[\W_]+", normalised(name)) if token]
    tokens = [match[1] if (match := _JOINED.match(token)) else token for token in tokens]
    named = [token for token in tokens if token not in _FILLERS]
    return _PART_OF.get(named[0]) if len(named) == 1 else None


def named_parts(data: Path) -> dict[Part, Path]:
    """Return the folders of `data` that are named like parts of a split, in the order of `PARTS`.

    Raises:
        BadParameter: two folders hold the same part.
    """
    named = [(folder, part) for folder in _folders(data) if (part := part_named(folder.name))]
    for part in PARTS:
        same = [folder.name for folder, other in named if other == part]
        if len(same) > 1:
            raise BadParameter(
                f"{' and '.join(f'{name}/' for name in same)} stand for the same part of a split. "
                "Merge them, or move one away."
            )
    by_part = {part: folder for folder, part in named}
    return {part: _inner(by_part[part], part) for part in PARTS if part in by_part}


def find_parts(data: Path) -> dict[Part, Path]:
    """Return the folders of a given split, in the order of `PARTS`; empty where there is none.

    A folder named `train` may be a class, as in train, bus, car. It counts as a part of the split
    only beside val or test, or alone. One folder around the parts is passed through.

    Raises:
        BadParameter: two folders hold the same part.
    """
    folders = _folders(data)
    named = {part for folder in folders if (part := part_named(folder.name))}
    if "train" in named and (len(named) > 1 or all(part_named(each.name) for each in folders)):
        return named_parts(data)
    if len(folders) == 1 and not named:
        return find_parts(folders[0])
    return {}


def folders_alike(data: Path) -> list[Path]:
    """Return the folders of `data` where all of them hold folders of the same names, else none.

    Such folders are the parts of a split more often than classes.
    """
    folders = _folders(data)
    names = [{normalised(inner.name) for inner in _folders(folder)} for folder in folders]
    if len(folders) <= 1 or not all(names) or any(map(_has_photos, folders)):
        return []
    common, every = set.intersection(*names), set.union(*names)
    alike = len(common) >= _MIN_SAME and len(common) >= _SAME_SHARE * len(every)
    return folders if alike else []


def suggested_parts(folders: list[Path], files: Mapping[Path, int]) -> dict[str, Part]:
    """Return a part for each folder: by a word in its name, else the largest one is train."""
    guessed: dict[str, Part] = {}
    for folder in folders:
        words = [_PART_OF[word] for word in _PART_OF if word in normalised(folder.name)]
        if words:
            guessed[folder.name] = words[0]
    if len(guessed) == len(folders) and len(set(guessed.values())) == len(folders):
        return guessed
    ranked = sorted(folders, key=lambda folder: (-files[folder], folder.name))
    last = len(ranked) - 1
    return {
        folder.name: "train" if rank == 0 else "test" if rank == last else "val"
        for rank, folder in enumerate(ranked)
    }


def _inner(folder: Path, part: Part) -> Path:
    """Return the folder inside it that repeats its name, as in seg_train/seg_train."""
    folders = _folders(folder)
    if len(folders) == 1 and part_named(folders[0].name) == part:
        return _inner(folders[0], part)
    return folder


def _has_photos(folder: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in visible(folder))


def _folders(folder: Path) -> list[Path]:
    try:
        return [entry for entry in visible(folder) if entry.is_dir()]
    except OSError:
        return []
