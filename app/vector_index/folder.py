"""The folder of an index: index.json is read and sealed, and the files that it names are checked.

Other files may lie beside them: those of an older state, until they are removed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from app.bundle import FileRecord
from app.durable_files import write_file
from app.errors import BadParameter, IndexInvalid
from app.vector_index.manifest import SCHEMA_VERSION, IndexManifest
from app.vector_index.neighbours import Neighbours
from app.vector_index.photo_table import IndexedPhoto, PhotoTable

MANIFEST = "index.json"
_SEAL = "sha256"
_ALWAYS_THERE = {"schema_version", "hubel", "model", "metric", "names", "files", _SEAL}
_AGAIN = "Make the index again with `hubel index`."


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """An index that was checked; any thread may search it, also after its files were replaced.

    The vectors are in memory; the photos are read from their file.
    """

    folder: Path
    manifest: IndexManifest
    neighbours: Neighbours
    table: PhotoTable
    vector_rows: NDArray[np.int64]
    """The row in `neighbours` of each photo's vector, by the photo's row in `table`."""

    @cached_property
    def _photos(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All photos in the order of their vectors, and the place of each vector's first one."""
        order = np.argsort(self.vector_rows, kind="stable")
        return order, np.searchsorted(self.vector_rows[order], np.arange(len(self.neighbours) + 1))

    @property
    def memory_bytes(self) -> int:
        """The memory that the vectors and their graph take."""
        return self.manifest.vector_bytes

    def search(
        self, vector: NDArray[np.float32], count: int, *, thumbnails: bool = False
    ) -> list[tuple[IndexedPhoto, float]]:
        """Return the most similar photos with their cosine similarities, the most similar first.

        Photos that are equally similar are in the order in which they were added.

        Args:
            vector: (D,), an embedding of the index's model, of any length.
            count: the number of photos; fewer are returned if the index has no more.
            thumbnails: whether the photos have their thumbnails.

        Raises:
            IndexInvalid: the index was damaged.
        """
        order, firsts = self._photos
        found = [
            (-similarity, photo)
            for row, similarity in zip(*self.neighbours.search(vector, count), strict=True)
            for photo in order[firsts[row] : firsts[row + 1]][:count].tolist()
        ]
        best = sorted(found)[:count]
        photos = self.table.photos([photo for _, photo in best], thumbnails=thumbnails)
        return [(photo, -float(lower)) for photo, (lower, _) in zip(photos, best, strict=True)]


def is_index(folder: Path) -> bool:
    """Return whether a folder is an index."""
    return (folder / MANIFEST).is_file()


def require_output(folder: Path, *, add: bool) -> None:
    """Check that an index can be written to `folder`.

    Raises:
        BadParameter: it is no index of any version and not empty, or can't be made; or there is
            no index to add to.
    """
    if is_index(folder) and not _is_written_by_hubel(folder / MANIFEST):
        raise BadParameter(
            f"{folder / MANIFEST} is damaged, or a file of another program. Name a new folder for "
            "--output."
        )
    if add and not is_index(folder):
        raise BadParameter(f"{folder} is no index, so nothing can be added. Leave --add out.")
    if folder.is_dir():
        if not is_index(folder) and any(folder.iterdir()):
            raise BadParameter(
                f"{folder} holds other files and is no index. Name a new folder for --output."
            )
        writable = folder
    elif folder.exists():
        raise BadParameter(f"{folder} is a file. Name a folder for --output.")
    elif not folder.parent.is_dir():
        raise BadParameter(f"{folder.parent} is not a folder. Create it, or name another --output.")
    else:
        writable = folder.parent
    if not os.access(writable, os.W_OK | os.X_OK):
        raise BadParameter(f"Nothing can be written to {writable}. Name another --output.")


def _is_written_by_hubel(file: Path) -> bool:
    """Return whether a file has the fields that index.json has had in all versions."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.keys() >= _ALWAYS_THERE


def read_manifest(folder: Path) -> IndexManifest:
    """Read `folder`/index.json.

    Raises:
        IndexInvalid: it is missing, is not JSON, violates the schema or was changed.
    """
    file = folder / MANIFEST
    try:
        document = json.loads(file.read_bytes())
    except OSError as err:
        raise IndexInvalid(
            f"{file} can't be read ({err.strerror}). Name a folder that `hubel index` has written."
        ) from err
    except (ValueError, RecursionError) as err:
        raise IndexInvalid(f"{file} is not JSON ({err}). {_AGAIN}") from err
    seal = document.pop(_SEAL, None) if isinstance(document, dict) else None
    if (
        isinstance(document, dict)
        and document.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION
    ):
        raise IndexInvalid(f"{file} was written by another version of Hubel. {_AGAIN}")
    try:
        manifest = IndexManifest.model_validate(document)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise IndexInvalid(f"{file} is no index: {where}: {first['msg']}. {_AGAIN}") from err
    if seal != seal_of(document):
        raise IndexInvalid(f"{file} was changed after it was written. {_AGAIN}")
    if set(manifest.files) != {manifest.names.vectors, manifest.names.photos}:
        raise IndexInvalid(f"{file} doesn't list the files that it names. {_AGAIN}")
    return manifest


def seal_of(document: Mapping[str, Any]) -> str:
    """Return the sha256 of a manifest's JSON, independent of its layout and order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def open_index(folder: Path) -> VectorIndex:
    """Check an index, and read its vectors into memory.

    Raises:
        IndexInvalid: index.json, or a file that it names, is missing, damaged or changed.
        BadParameter: the extra `index` is not installed.
    """
    manifest = read_manifest(folder)
    before = [_check_size(folder / name, record) for name, record in manifest.files.items()]
    for name, record in manifest.files.items():
        _check_hash(folder / name, record)
    neighbours = Neighbours.open(folder / manifest.names.vectors, exact=manifest.exact)
    table = PhotoTable(folder / manifest.names.photos)
    if before != [_check_size(folder / name, record) for name, record in manifest.files.items()]:
        raise IndexInvalid(f"{folder} was changed while it was read. Copy the index again.")
    found = len(neighbours), table.count, neighbours.dimension
    if found != (manifest.distinct, manifest.count, manifest.dimension):
        raise IndexInvalid(
            f"{folder} has {found[0]} vectors of {found[2]} numbers and {found[1]} photos; "
            f"{MANIFEST} says {manifest.distinct} of {manifest.dimension} and {manifest.count}. "
            f"{_AGAIN}"
        )
    vector_rows = table.vectors()
    if not np.array_equal(np.unique(vector_rows), np.arange(manifest.distinct)):
        raise IndexInvalid(
            f"{folder} has photos without a vector, or vectors without one. {_AGAIN}"
        )
    return VectorIndex(folder, manifest, neighbours, table, vector_rows)


def _check_size(path: Path, record: FileRecord) -> tuple[int, int]:
    """Check the size of a file, which costs nothing; return its inode and time."""
    try:
        found = path.stat()
    except OSError as err:
        raise _unreadable(path, err) from err
    if not S_ISREG(found.st_mode) or found.st_size != record.bytes:
        raise _other_file(path)
    return found.st_ino, found.st_mtime_ns


def _check_hash(path: Path, record: FileRecord) -> None:
    try:
        sha256 = sha256_of(path)
    except OSError as err:
        raise _unreadable(path, err) from err
    if sha256 != record.sha256:
        raise _other_file(path)


def _unreadable(path: Path, err: OSError) -> IndexInvalid:
    return IndexInvalid(
        f"{path} can't be read ({err.strerror}). Copy the index again, or make it again with "
        "`hubel index`."
    )


def _other_file(path: Path) -> IndexInvalid:
    return IndexInvalid(
        f"{path} isn't the file that {MANIFEST} describes: it is incomplete, or was changed. "
        "Copy the index again."
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(manifest: IndexManifest, folder: Path) -> None:
    """Write index.json with its seal, beside its place, then rename it."""
    document = manifest.model_dump(mode="json")
    text = json.dumps({**document, _SEAL: seal_of(document)}, indent=1)
    write_file(folder / MANIFEST, f"{text}\n".encode())
