"""The bundle's folder: bundle.json is read, sealed and written, and the other files are checked."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from app.bundle.manifest import FileRecord, Manifest
from app.bundle.part import MODEL_FILES, Precision, Task
from app.errors import BundleInvalid, BundleMismatch, ModelNotReady

MANIFEST = "bundle.json"
MODEL_CARD = "README.md"
"""The model card. Users may edit it, so it is not among `Manifest.files`."""
_SEAL = "sha256"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bundle.json has been read; its other files have not been checked."""

    folder: Path
    manifest: Manifest
    seal: str = ""
    """The sha256 of bundle.json's content; empty while the bundle is written."""

    def path(self, name: str) -> Path:
        """Return the path of the bundle's file `name`."""
        return self.folder / name

    def model_path(self, precision: Precision) -> Path:
        """Return the path of the graph of one precision."""
        return self.path(MODEL_FILES[precision])

    def verified_path(self, name: str) -> Path:
        """Return the path of a listed file after checking that it is still the verified one.

        Raises:
            ModelNotReady: it was removed or replaced.
        """
        path = self.path(name)
        try:
            sha256 = _sha256(path)
        except OSError:
            sha256 = None
        if sha256 != self.manifest.files[name].sha256:
            raise ModelNotReady(
                f"{name} of model {self.manifest.name!r} was replaced or removed after the model "
                "was loaded, so it can't be read. Reload the model."
            )
        return path


def load(folder: Path) -> Bundle:
    """Read `folder`/bundle.json.

    Raises:
        BundleInvalid: it is missing, is not JSON, or violates the schema.
        BundleMismatch: it was changed after it was written.
    """
    file = folder / MANIFEST
    try:
        document = json.loads(file.read_bytes())
    except OSError as err:
        raise BundleInvalid(
            f"{file} can't be read ({err.strerror}). Name a folder that holds a {MANIFEST}."
        ) from err
    except (ValueError, RecursionError) as err:
        raise BundleInvalid(
            f"{file} is not a valid bundle: it is not JSON ({err}). "
            "Write the bundle again with the training program."
        ) from err
    seal = document.pop(_SEAL, None) if isinstance(document, dict) else None
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as err:
        raise _invalid(file, err) from err
    if seal != (actual := _seal(document)):
        raise BundleMismatch(
            f"{file} was changed after it was written: the seal is {seal}, but the content "
            f"has the sha256 {actual}. Copy the bundle again."
        )
    return Bundle(folder, manifest, actual)


def _invalid(file: Path, err: ValidationError) -> BundleInvalid:
    first = err.errors()[0]
    tasks = get_args(Task)  # which of two schemas was used is no part of the document
    where = ".".join(str(part) for part in first["loc"] if part not in tasks) or "the document"
    more = f" (and {err.error_count() - 1} more)" if err.error_count() > 1 else ""
    return BundleInvalid(
        f"{file} is not a valid bundle: {where}: {first['msg']}{more}. "
        "Write the bundle again with the training program."
    )


def _seal(document: Mapping[str, Any]) -> str:
    """Return the sha256 of a manifest's JSON, independent of its layout and order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(document: Mapping[str, Any], folder: Path) -> str:
    """Write bundle.json with its seal into `folder`, and return the seal."""
    seal = _seal(document)
    text = json.dumps({**document, _SEAL: seal}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return seal


def verify_files(bundle: Bundle) -> None:
    """Compare every listed file with its recorded size and sha256.

    Raises:
        BundleMismatch: a file is missing or changed; the message says which, and how.
    """
    for name, record in bundle.manifest.files.items():
        path = bundle.path(name)
        try:
            size = path.stat().st_size
            if not path.is_file() or not path.resolve().is_relative_to(bundle.folder.resolve()):
                raise BundleMismatch(
                    f"{path} is not a regular file inside the bundle. Copy the bundle again."
                )
            if size != record.bytes:
                raise BundleMismatch(
                    f"{path} has {size} bytes, {MANIFEST} says {record.bytes}. "
                    "Copy the bundle again."
                )
            digest = _sha256(path)
        except OSError as err:
            raise BundleMismatch(
                f"{path} can't be read ({err.strerror}). Copy the bundle again."
            ) from err
        if digest != record.sha256:
            raise BundleMismatch(
                f"{path} has sha256 {digest[:12]}…, {MANIFEST} says {record.sha256[:12]}…. "
                "Copy the bundle again."
            )


def record_files(folder: Path, names: Iterable[str]) -> dict[str, FileRecord]:
    """Return the records of `folder`'s files `names`: relative paths with forward slashes."""
    return {
        name: FileRecord(sha256=_sha256(folder / name), bytes=(folder / name).stat().st_size)
        for name in names
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
