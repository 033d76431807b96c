"""Files -> what is known of each photo, and its pixels, read once and kept on disk.

file -> bytes -> sha256 -> vision.decode -> canvas -> perceptual hash, thumbnail
                                                   -> vision.resize -> its row of `Pixels`

A file that can't be decoded keeps the reason instead.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from app import vision
from app.bundle import InputSpec
from app.errors import InputError
from training.cores import each
from training.dataset import File
from training.photos import LIMITS

HASH_SIDE = 16
_THUMBNAIL_SIDE = 8
_OVERVIEW = 4
"""What the canvas is reduced by before its hash and thumbnail are taken."""
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


def read(
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
    """
    pixels: list[NDArray[np.uint8]] = [
        open_memmap(
            folder / f"pixels.{spec.size}.npy",
            "w+",
            np.uint8,
            (len(files), spec.size, spec.size, 3),
        )
        for spec in specs
    ]

    def look(row: int) -> Photo | Unusable:
        try:
            return _look(files[row], row, specs, pixels)
        except OSError as err:
            return Unusable(files[row], f"It can't be read ({err.strerror}).")
        except InputError as err:
            return Unusable(files[row], str(err).split(". ")[0].removesuffix(".") + ".")

    seen = list(each(look, range(len(files)), "reading photos"))
    photos = [one for one in seen if isinstance(one, Photo)]
    return photos, [one for one in seen if isinstance(one, Unusable)], pixels


def _look(
    file: File, row: int, specs: Sequence[InputSpec], pixels: Sequence[NDArray[np.uint8]]
) -> Photo:
    data = file.path.read_bytes()
    picture = vision.decode(data, LIMITS)
    image = cast(Image.Image, picture.square)  # from a file; as Pillow holds it, without a copy
    for spec, rows in zip(specs, pixels, strict=True):
        rows[row] = vision.resize(image, spec)
    overview = image.reduce(_OVERVIEW)
    grey = np.asarray(overview.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), _MEAN))
    return Photo(
        file=file,
        row=row,
        sha256=hashlib.sha256(data).hexdigest(),
        format=picture.format,
        width=picture.width,
        height=picture.height,
        hash=(grey[:, 1:] > grey[:, :-1]).ravel(),
        thumbnail=np.asarray(overview.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), _MEAN)),
    )


def fingerprint(photos: Sequence[Photo]) -> str:
    """A sha256 over names and contents, as training.photos.fingerprint."""
    digest = hashlib.sha256()
    for photo in sorted(photos, key=lambda photo: photo.file.name):
        digest.update(photo.file.name.encode() + b"\0")
        digest.update(bytes.fromhex(photo.sha256))
    return digest.hexdigest()
