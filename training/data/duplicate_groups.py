"""The groups of photos below some folders that are copies, or show the same picture.

files -> read_photos: sha256, a coarse picture, small pixels on disk
      -> duplicates.find, as `hubel train` finds them
      -> copies: the same bytes; near duplicates: other bytes, the same picture
      -> in each group the largest photo first, and how similar the others are to it
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.bundle import InputSpec
from training.data import duplicates, same_photo
from training.data.dataset import File
from training.data.photos import Photo, Unusable, read_photos

_SIDE = same_photo.FINE_SIDE
"""Pixels of a side that are kept of each photo; no comparison needs more."""


@dataclass(frozen=True)
class Member:
    """A photo of a group."""

    path: str
    sha256: str
    similarity: float
    """To the first of its group: 1 is the same picture."""
    width: int
    height: int


@dataclass(frozen=True)
class Group:
    """Photos that are copies, or near duplicates of each other; two or more."""

    kind: Literal["copies", "near"]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Duplicates:
    """The groups of duplicates, and the files that can't be compared."""

    groups: tuple[Group, ...]
    photos: int
    unusable: tuple[tuple[str, str], ...]
    """Path and reason of each file that can't be read."""
    can_compare: bool
    """False if the photos are so alike by nature that copies alone can be told."""


def find_duplicates(paths: Sequence[Path]) -> Duplicates:
    """Return the groups of duplicates among some files.

    Raises:
        DataUnusable: the folder for temporary files has no room for the pixels.
    """
    files = [File(path, str(path), "", None) for path in paths]
    spec = InputSpec(size=_SIDE, crop=1.0, resample="box", fit="stretch")
    with tempfile.TemporaryDirectory(prefix="hubel-duplicates-") as folder:
        photos, unusable, (pixels,) = read_photos(files, [spec], Path(folder))
        if not photos:
            return Duplicates((), 0, _reasons(unusable), can_compare=True)
        found = duplicates.find(photos, pixels)
        copies = [_copies([photos[index] for index in group]) for group in found.exact]
        near = [
            _near([photos[index] for index in group], pixels)
            for group in _without_copies(found.alike, found.exact)
        ]
    return Duplicates(
        (*copies, *near), len(photos), _reasons(unusable), can_compare=found.bound > 0
    )


def _reasons(unusable: Sequence[Unusable]) -> tuple[tuple[str, str], ...]:
    return tuple((each.file.name, each.reason) for each in unusable)


def _without_copies(alike: list[list[int]], exact: list[list[int]]) -> Iterator[list[int]]:
    """Yield the groups with one photo for each set of copies, if two or more remain."""
    others: Mapping[int, int] = {index: group[0] for group in exact for index in group[1:]}
    for group in alike:
        kept = [index for index in group if index not in others]
        if len(kept) > 1:
            yield kept


def _copies(photos: list[Photo]) -> Group:
    return Group("copies", tuple(_member(photo, 1.0) for photo in photos))


def _near(photos: list[Photo], pixels: NDArray[np.uint8]) -> Group:
    """Return near duplicates, the one with the most pixels first, of these the largest file."""

    def size(photo: Photo) -> tuple[int, int]:
        return photo.width * photo.height, photo.file.path.stat().st_size

    first, *others = sorted(photos, key=size, reverse=True)
    members = [(photo, 1 - _distance(first, photo, pixels)) for photo in others]
    members.sort(key=lambda member: -member[1])
    return Group(
        "near", (_member(first, 1.0), *(_member(photo, value) for photo, value in members))
    )


def _distance(first: Photo, second: Photo, pixels: NDArray[np.uint8]) -> float:
    side = same_photo.side_for(first.width, first.height, second.width, second.height)
    one, other = (same_photo.detail_of(pixels[photo.row], side) for photo in (first, second))
    return max(0.0, same_photo.distance(one, other))


def _member(photo: Photo, similarity: float) -> Member:
    return Member(photo.file.name, photo.sha256, round(similarity, 4), photo.width, photo.height)
