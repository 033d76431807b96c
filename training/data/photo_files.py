"""A folder with one folder per class -> photos -> the arrays that a network reads.

Pixels come through app.vision alone, so that training sees what serving will see.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import InputSpec
from app.errors import InputError
from training.errors import DataUnusable

LIMITS = vision.Limits(max_bytes=100_000_000, max_pixels=200_000_000)
"""Generous: these files are the trainer's own."""


@dataclass(frozen=True)
class Photo:
    """A file, and the class that its folder stands for."""

    path: Path
    folder: str

    @property
    def name(self) -> str:
        """Its name within the data: class folder, slash, file name."""
        return f"{self.folder}/{self.path.name}"

    def picture(self) -> vision.Picture:
        """The decoded photo.

        Raises:
            DataUnusable: it can't be decoded.
        """
        try:
            return vision.decode(self.path.read_bytes(), LIMITS)
        except (OSError, InputError) as err:
            raise DataUnusable(f"{self.name} can't be read: {err} Remove or repair it.") from err


def find(data: Path) -> list[Photo]:
    """The photos of a data folder, sorted by name; hidden files are passed over.

    Raises:
        DataUnusable: `data` is no folder, or holds no folder with a file in it.
    """
    if not data.is_dir():
        raise DataUnusable(f"{data} is not a folder. Name one that holds a folder per class.")
    photos = [
        Photo(path, folder.name)
        for folder in sorted(data.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    if not photos:
        raise DataUnusable(f"{data} holds no photos. It must hold a folder per class, with photos.")
    return photos


def pixels(photos: Sequence[Photo], spec: InputSpec) -> NDArray[np.uint8]:
    """The arrays of `photos`, (N, S, S, 3) uint8 RGB."""
    array = np.empty((len(photos), spec.size, spec.size, 3), np.uint8)
    for row, photo in zip(array, photos, strict=True):
        row[:] = vision.resize(photo.picture(), spec)
    return array


def pixels_of(files: Sequence[Path], spec: InputSpec) -> NDArray[np.uint8]:
    """The arrays of image files, (N, S, S, 3) uint8 RGB.

    Raises:
        InputError: one can't be decoded.
    """
    return np.stack([vision.resize(vision.decode(f.read_bytes(), LIMITS), spec) for f in files])


def truths(photos: Iterable[Photo], ids: Sequence[str]) -> NDArray[np.intp]:
    """The class index of each photo, (N,); its folder must be one of `ids`.

    Raises:
        DataUnusable: a folder is none of them.
    """
    index_of = {name: index for index, name in enumerate(ids)}
    try:
        return np.array([index_of[photo.folder] for photo in photos], np.intp)
    except KeyError as err:
        raise DataUnusable(
            f"Folder {err.args[0]!r} is not a label id such as {ids[0]!r}. Rename or remove it."
        ) from err


def fingerprint(photos: Iterable[Photo]) -> str:
    """A sha256 over the names and contents of `photos`, independent of where they lie."""
    digest = hashlib.sha256()
    for photo in sorted(photos, key=lambda photo: photo.name):
        digest.update(photo.name.encode() + b"\0")
        digest.update(hashlib.sha256(photo.path.read_bytes()).digest())
    return digest.hexdigest()
