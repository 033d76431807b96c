"""The search for bundle folders, before anything in them is loaded.

model roots -> <name>/ and <name>/<version>/ that hold a bundle.json -> app.runtime.registry
            -> the other files and folders, with what to do about them -> the log
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from app import bundle as bundles
from app.errors import BadParameter, BundleError

BUILT_IN_MODELS = Path(__file__).resolve().parents[2] / "model"
"""The folder with the default model, imagenet."""

_SKIPPED = frozenset({"lost+found"})
"""Folders that a file system makes."""
_MODEL_SUFFIXES = frozenset({".pt", ".pth", ".h5", ".keras", ".tflite", ".safetensors", ".pb"})
"""Suffixes of model files that have to be exported to ONNX before they can be imported."""
_ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".gz"})

FileStamp = tuple[int, int, int] | None
"""Modification time, size and inode of a file; None if it is missing."""
Stamp = tuple[FileStamp, ...]
"""A state of a bundle's files: another one differs if a file was written, replaced or removed."""


def model_roots(models: Path | None) -> list[Path]:
    """Return the folders to search: the user's, if there is one, then the built-in one.

    Raises:
        BadParameter: one of them can't be read.
    """
    roots = [models, BUILT_IN_MODELS] if models else [BUILT_IN_MODELS]
    for root in roots:
        _check_readable(root)
    return roots


def _check_readable(root: Path) -> None:
    try:
        os.scandir(root).close()
    except OSError as err:
        raise BadParameter(
            f"The models in {root} can't be read ({err.strerror}). Let this user read that "
            "folder, or name another --models."
        ) from err


def discover(roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders below `roots` that hold a bundle.json, in order.

    A folder that links lead to twice, or back to, is yielded once. A folder that can't be read is
    skipped; `findings` names it.
    """
    seen = {_inode_of(root) for root in roots}
    for root in roots:
        for folder in _subfolders(root):
            if _inode_of(folder) in seen:
                continue  # it was searched under another name, or is a root
            for candidate in (folder, *_subfolders(folder)):
                if (inode := _inode_of(candidate)) not in seen and _holds_bundle(candidate):
                    seen.add(inode)
                    yield candidate


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder` by name, links last, so that a folder goes before its link."""
    try:
        found = [f for f in folder.iterdir() if _is_visible(f) and f.is_dir()]
        return sorted(found, key=lambda f: (f.is_symlink(), f))
    except OSError:
        return []


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in _SKIPPED


def _inode_of(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _holds_bundle(folder: Path) -> bool:
    try:
        return (folder / bundles.MANIFEST).is_file()
    except OSError:
        return False


def findings(models: Path) -> Iterator[str]:
    """Yield a sentence for everything in the models folder that isn't served, with what to do."""
    if _holds_bundle(models):
        yield f"{models} is itself a bundle, so it isn't served. Name its parent as --models."
    try:
        children = sorted(filter(_is_visible, models.iterdir()))
    except OSError as err:
        yield f"{models} can't be read ({err.strerror}). Let this user read it."
        return
    for child in children:
        if child.is_dir():
            yield from _findings_in(child, models)
        elif child.is_symlink() and not child.exists():
            yield f"{child} is a link that leads nowhere. Link to a bundle, or remove it."
        elif _is_model_file(child):
            yield _what_to_do_with(child, models)


def _findings_in(folder: Path, models: Path) -> Iterator[str]:
    try:
        children = sorted(folder.iterdir())
    except OSError as err:
        yield f"{folder} is skipped ({err.strerror}). Let this user read it."
        return
    versions = [child for child in children if _is_visible(child) and child.is_dir()]
    bundled = [child for child in versions if _holds_bundle(child)]
    if not _holds_bundle(folder) and not bundled:
        files = [child for child in children if _is_model_file(child)]
        todo = (
            _what_to_do_with(files[0], models)
            if files
            else f"Copy a whole bundle there, or make one: hubel train PHOTOS --output {_q(folder)}"
        )
        yield f"{folder} has no {bundles.MANIFEST}, so it isn't served. {todo}"
        return
    for child in versions:
        if child.name.isdigit() and child not in bundled:
            yield (f"{child} has no {bundles.MANIFEST}, so it isn't served. Copy the whole bundle.")


def _is_model_file(path: Path) -> bool:
    suffixes = {".onnx"} | _MODEL_SUFFIXES | _ARCHIVE_SUFFIXES
    return _is_visible(path) and path.suffix.lower() in suffixes and path.is_file()


def _what_to_do_with(file: Path, models: Path) -> str:
    suffix = file.suffix.lower()
    if suffix in _ARCHIVE_SUFFIXES:
        return f"{file} is an archive, so it isn't served. Unpack it into a folder of its own."
    name = file.stem.lower() if file.parent == models else file.parent.name
    onnx = file.with_suffix(".onnx")
    command = f"hubel import {_q(onnx)} --labels LABELS --output {_q(models / name)}"
    if suffix != ".onnx":
        return (
            f"{file} is no bundle, so it isn't served. Export the model to ONNX, then make a "
            f"bundle: {command}"
        )
    return f"{file} is no bundle, so it isn't served. Make one: {command}"


def _q(path: Path) -> str:
    return shlex.quote(str(path))


def identity(folder: Path) -> tuple[str, int | None]:
    """Return name and version of the bundle in `folder`.

    They come from bundle.json. If that can't be read, the name is the folder's and the version
    None.
    """
    try:
        manifest = bundles.load(folder).manifest
    except BundleError:
        return (folder.parent.name if folder.name.isdigit() else folder.name), None
    return manifest.name, manifest.version


def stamp_of(folder: Path) -> Stamp:
    """Return the state of the bundle's files: of bundle.json, and of each file that it lists."""
    manifest = _stamp_of_file(folder / bundles.MANIFEST)
    return (manifest, *(_stamp_of_file(folder / name) for name in _listed(folder, manifest)))


def is_complete(folder: Path) -> bool:
    """Return whether bundle.json and the files that it lists have their full size."""
    manifest = _stamp_of_file(folder / bundles.MANIFEST)
    listed = _listed(folder, manifest)
    found = {name: _stamp_of_file(folder / name) for name in listed}
    return bool(listed) and all(
        stamp is not None and stamp[1] == listed[name] for name, stamp in found.items()
    )


def _stamp_of_file(file: Path) -> FileStamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=1024)
def _listed(folder: Path, manifest: FileStamp) -> dict[str, int]:
    """Return the bytes of each file that bundle.json lists; read once for each of its states."""
    try:
        files = bundles.load(folder).manifest.files
    except BundleError:
        return {}
    return {name: record.bytes for name, record in files.items()}
