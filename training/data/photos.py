"""Files -> what is known of each photo, and its pixels, read once and kept on disk.

file -> bytes -> sha256 -> vision.decode -> vision.resize -> its row of the pixels
                                                         -> perceptual hash, thumbnail

A file that can't be decoded keeps the reason instead.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from app import vision
from app.bundle import InputSpec
from app.errors import InputError
from training.data.layout import File
from training.data.photo_files import LIMITS
from training.errors import DataUnusable
from training.parallel import map_in_order

HASH_SIDE = 16
_THUMBNAIL_SIDE = 8
_MEAN = Image.Resampling.BOX


@dataclass(frozen=True, eq=False)
class Photo:
    """A file that could be decoded."""

    file: File
    row: int
    """Of its pixels."""
    sha256: str
    format: str
    width: int
    height: int
    hash: NDArray[np.bool_]
    """(256,): where brightness rises from left to right, on a 16x16 grid (a difference hash)."""
    thumbnail: NDArray[np.uint8]
    """(8, 8, 3) RGB."""


@dataclass(frozen=True)
class Unusable:
    """A file that couldn't."""

    file: File
    reason: str


def read_photos(
    files: Sequence[File], specs: Sequence[InputSpec], folder: Path
) -> tuple[list[Photo], list[Unusable], list[NDArray[np.uint8]]]:
    """Read every file once.

    Args:
        files: of a dataset.
        specs: of the pixels that are wanted: what the network reads, and what it is augmented
            from.
        folder: where the pixels are kept while training runs.

    Returns:
        The photos; the files that are none; and for each spec the pixels (len(files), S, S, 3)
        uint8 RGB, of which each photo has a row.

    Raises:
        DataUnusable: the disk has no room for the pixels.
    """
    pixels = _room(len(files), specs, folder)

    def look(row: int) -> Photo | Unusable:
        try:
            return _look(files[row], row, specs, pixels)
        except OSError as err:
            return Unusable(files[row], f"It can't be read ({err.strerror}).")
        except InputError as err:
            return Unusable(files[row], str(err).split(". ")[0].removesuffix(".") + ".")

    seen = list(map_in_order(look, range(len(files)), "reading photos"))
    photos = [one for one in seen if isinstance(one, Photo)]
    return photos, [one for one in seen if isinstance(one, Unusable)], pixels


def _room(count: int, specs: Sequence[InputSpec], folder: Path) -> list[NDArray[np.uint8]]:
    """Files for the pixels, (count, S, S, 3) each, mapped into memory, with their disk space.

    Space is taken now where that can be asked for: a mapped file that finds the disk full when it
    is written to ends the process without a word.
    """
    needed = sum(count * spec.size * spec.size * 3 for spec in specs)
    free = shutil.disk_usage(folder).free
    try:
        if free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return [_mapped(folder / f"pixels.{spec.size}.npy", count, spec.size) for spec in specs]
    except OSError as err:
        raise DataUnusable(
            f"The pixels of {count} photos take {_size(needed)} beside the output while "
            f"training runs, where {_size(free)} are free ({err.strerror}). Make room, or name "
            "an --output on a larger disk."
        ) from err


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count > 1e9 else f"{count / 1e6:.0f} MB"  # noqa: PLR2004


def _mapped(path: Path, count: int, size: int) -> NDArray[np.uint8]:
    pixels = open_memmap(path, "w+", np.uint8, (count, size, size, 3))
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return pixels


def _look(
    file: File, row: int, specs: Sequence[InputSpec], pixels: Sequence[NDArray[np.uint8]]
) -> Photo:
    data = file.path.read_bytes()
    picture = vision.decode(data, LIMITS)
    for spec, rows in zip(specs, pixels, strict=True):
        rows[row] = vision.resize(picture, spec)
    seen = Image.fromarray(pixels[0][row])
    grey = np.asarray(seen.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), _MEAN))
    return Photo(
        file=file,
        row=row,
        sha256=hashlib.sha256(data).hexdigest(),
        format=picture.format,
        width=picture.width,
        height=picture.height,
        hash=(grey[:, 1:] > grey[:, :-1]).ravel(),
        thumbnail=np.asarray(seen.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), _MEAN)),
    )


def fingerprint(photos: Sequence[Photo]) -> str:
    """A sha256 over names and contents, as training.data.photo_files.fingerprint."""
    digest = hashlib.sha256()
    for photo in sorted(photos, key=lambda photo: photo.file.name):
        digest.update(photo.file.name.encode() + b"\0")
        digest.update(bytes.fromhex(photo.sha256))
    return digest.hexdigest()
