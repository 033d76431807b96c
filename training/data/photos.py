"""Read photo files once: their metadata, their pixels and a coarse picture.

    file -> bytes -> sha256 -> vision.decode -> vision.resize -> a row of the pixels on disk
                                                              -> a coarse picture

A file that can't be decoded becomes an `Unusable` with the reason. Pixels come through app.vision
alone, so training reads the same pixels as the service.
"""

import errno
import hashlib
import math
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
from training.errors import DataUnusable
from training.mapped_pixels import release
from training.parallel import map_in_order

LIMITS = vision.Limits(max_bytes=100_000_000, max_pixels=200_000_000)
"""Limits for training photos, far above those for uploads: the files come from the user."""
_COARSE_SIDE = 16
_RELEASE_EVERY = 500
"""Photos after which the pages of their pixels are given back."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo: its file, its row in the pixels, its hash and its coarse picture."""

    file: File
    row: int
    """The row of its pixels."""
    sha256: str
    format: str
    width: int
    height: int
    coarse: NDArray[np.uint8]
    """(16, 16) grey: similar for two photos that show the same picture."""


@dataclass(frozen=True)
class Unusable:
    """A file that could not be decoded, and the reason."""

    file: File
    reason: str


def read_photos(
    files: Sequence[File], specs: Sequence[InputSpec], folder: Path
) -> tuple[list[Photo], list[Unusable], list[NDArray[np.uint8]]]:
    """Read every file once.

    Args:
        files: the files of a dataset.
        specs: the input of the network, and the input of augmentation where it differs; both with
            one fit and one aspect.
        folder: an empty folder that holds the pixels while training runs.

    Returns:
        The photos; the files that can't be decoded; and for each spec the pixels
        (len(files), H, W, 3) uint8 RGB, of which each photo has a row.

    Raises:
        DataUnusable: the disk has no room for the pixels.
    """
    targets = [folder / f"pixels.{spec.describe_size()}.npy" for spec in specs]
    pixels = _allocate(targets, len(files), specs)

    def read(row: int) -> Photo | Unusable:
        try:
            return _read(files[row], row, specs, pixels)
        except OSError as err:
            return Unusable(files[row], f"It can't be read ({err.strerror}).")
        except InputError as err:
            return Unusable(files[row], str(err).split(". ")[0].removesuffix(".") + ".")

    results = []
    for result in map_in_order(read, range(len(files)), "reading photos"):
        results.append(result)
        if len(results) % _RELEASE_EVERY == 0:
            for mapped in pixels:
                release(mapped)
    photos = [result for result in results if isinstance(result, Photo)]
    return photos, [result for result in results if isinstance(result, Unusable)], pixels


def read_all(
    files: Sequence[File], spec: InputSpec, folder: Path
) -> tuple[list[Photo], NDArray[np.uint8]]:
    """Read files that must all be photos: row i of the pixels (N, H, W, 3) is photo i.

    Raises:
        DataUnusable: one can't be decoded, or the disk has no room for the pixels.
    """
    photos, unusable, (pixels,) = read_photos(files, [spec], folder)
    if unusable:
        first = unusable[0]
        raise DataUnusable(f"{first.file.name} can't be read: {first.reason} Remove or repair it.")
    return photos, pixels


def read_pixels(files: Sequence[Path], spec: InputSpec) -> NDArray[np.uint8]:
    """Return the pixels of a few image files, (N, H, W, 3) uint8 RGB, in memory.

    Raises:
        InputError: one can't be decoded.
    """
    view = vision.view_of(spec)
    pictures = (vision.decode(file.read_bytes(), LIMITS, view) for file in files)
    return np.stack([vision.resize(picture, spec) for picture in pictures])


def read_rows(
    files: Sequence[Path], spec: InputSpec, target: Path, label: str
) -> NDArray[np.uint8]:
    """Return the pixels of files that were decoded before, (N, H, W, 3) uint8 RGB, on disk.

    Args:
        files: the photos.
        spec: the input.
        target: a new file for the pixels.
        label: stands before the progress bar.

    Raises:
        DataUnusable: the disk has no room for the pixels.
    """
    (pixels,) = _allocate([target], len(files), [spec])
    view = vision.view_of(spec)

    def read(row: int) -> None:
        pixels[row] = vision.resize(vision.decode(files[row].read_bytes(), LIMITS, view), spec)

    for _ in map_in_order(read, range(len(files)), label):
        pass
    return pixels


def read_again(
    photos: Sequence[Photo], specs: Sequence[InputSpec], pixels: Sequence[NDArray[np.uint8]]
) -> None:
    """Replace the pixels of `photos` by those of other inputs, one for each array of pixels."""

    def read(photo: Photo) -> None:
        _fill(photo.file.path.read_bytes(), photo.row, specs, pixels)

    for _ in map_in_order(read, photos, "reading photos"):
        pass


def fingerprint(photos: Sequence[Photo]) -> str:
    """Return a sha256 over names and contents of photos, independent of where the folder lies."""
    digest = hashlib.sha256()
    for photo in sorted(photos, key=lambda photo: photo.file.name):
        digest.update(photo.file.name.encode() + b"\0")
        digest.update(bytes.fromhex(photo.sha256))
    return digest.hexdigest()


def _allocate(
    targets: Sequence[Path], count: int, specs: Sequence[InputSpec]
) -> list[NDArray[np.uint8]]:
    """Create the files of the pixels, (count, H, W, 3) each, mapped into memory.

    Disk space is reserved at once where the system can: writing to a mapped file on a full disk
    kills the process without a message.
    """
    needed = sum(count * math.prod(spec.shape) for spec in specs)
    free = shutil.disk_usage(targets[0].parent).free
    try:
        if free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return [_mapped(path, count, spec) for path, spec in zip(targets, specs, strict=True)]
    except OSError as err:
        raise DataUnusable(
            f"The pixels of {count} photos take {_format_bytes(needed)} beside the output "
            f"while training runs, where {_format_bytes(free)} are free ({err.strerror}). "
            "Make room, or name an --output on a larger disk."
        ) from err


def _format_bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count > 1e9 else f"{count / 1e6:.0f} MB"  # noqa: PLR2004


def _mapped(path: Path, count: int, spec: InputSpec) -> NDArray[np.uint8]:
    pixels = open_memmap(path, "w+", np.uint8, (count, *spec.shape))
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return pixels


def _fill(
    data: bytes, row: int, specs: Sequence[InputSpec], pixels: Sequence[NDArray[np.uint8]]
) -> vision.Picture:
    """Decode a photo into its row of each array of pixels."""
    picture = vision.decode(data, LIMITS, vision.view_of(specs[0]))
    for spec, rows in zip(specs, pixels, strict=True):
        rows[row] = vision.resize(picture, spec)
    return picture


def _read(
    file: File, row: int, specs: Sequence[InputSpec], pixels: Sequence[NDArray[np.uint8]]
) -> Photo:
    data = file.path.read_bytes()
    picture = _fill(data, row, specs, pixels)
    grey = Image.fromarray(pixels[0][row]).convert("L")
    coarse = grey.resize((_COARSE_SIDE, _COARSE_SIDE), Image.Resampling.BOX)
    return Photo(
        file=file,
        row=row,
        sha256=hashlib.sha256(data).hexdigest(),
        format=picture.format,
        width=picture.width,
        height=picture.height,
        coarse=np.asarray(coarse),
    )
