"""A bundle that comes as a zip: its directory is checked, and its files are unpacked into a folder.

directory of the zip -> bundle.json: where, which files -> each file, of the size that it states

Whoever calls this verifies the folder as every bundle is, and puts it into the models folder.
"""

import errno
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app import bundle as bundles
from app.errors import BadArchive, BundleError, BundleMismatch
from app.zip_directory import ZIP_ERRORS, ZipContent, ZipFile, ZipLimits, read_directory

_MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_MAX_CARD_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_SHOWN = 100
_PATH_ERRORS = (
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ,
)  # fmt: skip
"""Errors of the disk about a path that can't be one, or that clashes with another."""


@dataclass(frozen=True)
class UnpackedBundle:
    """A bundle in a folder, whose files have the sizes that bundle.json states."""

    manifest: bundles.Manifest
    bytes: int
    skipped: Sequence[tuple[str, str]]
    """Files of the zip that weren't used, with the reason; the first of them."""


def unpack_bundle(body: Path, folder: Path, limits: ZipLimits) -> UnpackedBundle:
    """Unpack a zip with one bundle into a new folder.

    Args:
        body: the zip.
        folder: the folder to make; the caller removes it.
        limits: the most that the zip may hold.

    Raises:
        BadArchive: it is no zip, is broken, or has no bundle or several.
        TooManyBytes: it is beyond the limits.
        BundleInvalid: bundle.json can't be read.
        BundleMismatch: a file is missing, or isn't as bundle.json says.
        OSError: the disk can't be written.
    """
    archive, content = read_directory(body, limits)
    with archive:
        found = [file for file in content.files if file.path[-1] == bundles.MANIFEST]
        if len(found) != 1:
            what = "several bundles" if found else f"no {bundles.MANIFEST}"
            raise BadArchive(f"The zip has {what}. Send the folder of one bundle, zipped.")
        folder.mkdir(mode=0o755)
        return _unpack(archive, content, found[0], folder)


def _unpack(
    archive: zipfile.ZipFile, content: ZipContent, manifest_file: ZipFile, folder: Path
) -> UnpackedBundle:
    above = manifest_file.path[:-1]
    inside = {
        "/".join(file.path[len(above) :]): file
        for file in content.files
        if file.path[: len(above)] == above
    }
    _extract(archive, manifest_file, folder / bundles.MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        manifest = bundles.load(folder).manifest
    except BundleError as err:
        raise type(err)(str(err).replace(f"{folder}/", "")) from err
    for name, record in manifest.files.items():
        if name not in inside or inside[name].info.file_size != record.bytes:
            what = "has another size in" if name in inside else "is missing in"
            raise BundleMismatch(f"{name} {what} the zip. Zip the whole bundle again.")
    for name, record in manifest.files.items():
        _extract(archive, inside[name], folder / name, record.bytes)
    card = inside.get(bundles.MODEL_CARD)
    if card is not None and bundles.MODEL_CARD not in manifest.files:
        _extract(archive, card, folder / bundles.MODEL_CARD, _MAX_CARD_BYTES)
    used = {*manifest.files, bundles.MANIFEST, bundles.MODEL_CARD}
    ours = [inside[name] for name in used if name in inside]
    unused = [(f.name[:200], "it is no part of the bundle") for f in content.files if f not in ours]
    size = sum(record.bytes for record in manifest.files.values())
    return UnpackedBundle(manifest, size, [*content.skipped, *unused][:_SHOWN])


def _extract(archive: zipfile.ZipFile, file: ZipFile, target: Path, max_bytes: int) -> None:
    """Unpack a file, piece by piece.

    Raises:
        BadArchive: it is broken, or too long.
        BundleMismatch: its path is too long, or clashes with that of another file.
        OSError: the disk can't be written.
    """
    if file.info.file_size > max_bytes:
        raise BadArchive(f"{file.name[:200]} is too long. Zip the whole bundle again.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(file.info) as opened, target.open("xb") as written:
            while piece := opened.read(_PIECE_BYTES):
                written.write(piece)
    except ZIP_ERRORS as err:
        raise BadArchive(f"{file.name[:200]} is broken in the zip. Zip the bundle again.") from err
    except OSError as err:
        if err.errno not in _PATH_ERRORS:
            raise
        raise BundleMismatch(
            f"{file.name[:200]} can't be unpacked: its path is too long, or another file has the "
            "same one or that of its folder. Write the bundle again with the training program."
        ) from err
