"""The embeddings of a run so far, in a hidden folder beside the index: a killed run goes on there.

photos, with their embeddings -> vectors.f16, appended -> photos.sqlite, committed
a new run with the same model and options -> what the table has is done; the rest is cut off
"""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.errors import BadParameter
from app.vector_index import photo_table
from app.vector_index.manifest import SCHEMA_VERSION
from app.vector_index.neighbours import to_unit_length
from app.vector_index.photo_table import IndexedPhoto

_DESCRIPTION, _VECTORS, _PHOTOS, _LOCK = "staging.json", "vectors.f16", "photos.sqlite", "lock"
_FLUSH_EVERY = 256
_NUMBER_BYTES = np.dtype(np.float16).itemsize


def staging_folder(output: Path) -> Path:
    """Return the hidden folder beside the index `output`."""
    place = output.resolve()
    return place.parent / f".{place.name}.hubel-index"


class Staging:
    """The photos of a run; a context manager that holds the folder's lock.

    Args:
        output: the index that will be written.
        dimension: numbers of an embedding.
        description: what the run is about; a folder with another one is begun anew.
    """

    def __init__(self, output: Path, dimension: int, description: Mapping[str, Any]) -> None:
        self.folder = staging_folder(output)
        self.dimension = dimension
        own = {"schema_version": SCHEMA_VERSION, "dimension": dimension}
        self._description = json.loads(json.dumps({**description, **own}))
        self.began_anew = False
        """Whether there were photos of a run with another description, which are dropped."""
        self._waiting: list[tuple[IndexedPhoto, NDArray[np.float16]]] = []
        self._committed = 0

    def __enter__(self) -> Self:
        """Open the folder, and keep what a run with the same description has left.

        Raises:
            BadParameter: another run writes this index.
        """
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / _LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            self._lock.close()
            raise BadParameter(
                "Another `hubel index` writes this index. Wait for it, or name another --output."
            ) from err
        before = self._read_description()
        if before != self._description:
            self.began_anew = before is not None
            for name in (_DESCRIPTION, _VECTORS, _PHOTOS):
                (self.folder / name).unlink(missing_ok=True)
        self._connection = self._open_table()
        (self._committed,) = self._connection.execute("SELECT count(*) FROM photos").fetchone()
        self._file = (self.folder / _VECTORS).open("ab")
        self._file.truncate(self._committed * self.dimension * _NUMBER_BYTES)
        (self.folder / _DESCRIPTION).write_text(json.dumps(self._description))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep what is there for the next run, unless it was removed."""
        self._file.close()
        self._connection.close()
        self._lock.close()

    def _read_description(self) -> Any:
        try:
            return json.loads((self.folder / _DESCRIPTION).read_bytes())
        except (OSError, ValueError):
            return None

    def _open_table(self) -> sqlite3.Connection:
        connection = photo_table.create(self.folder / _PHOTOS)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def __len__(self) -> int:
        """The number of photos."""
        return self._committed + len(self._waiting)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each photo's file by its path."""
        return photo_table.sizes(self._connection)

    def append(
        self,
        path: str,
        sha256: str,
        size: int,
        embedding: NDArray[np.float32],
        thumbnail: bytes | None,
    ) -> None:
        """Add a photo with its embedding (D,)."""
        photo = IndexedPhoto(len(self), path, sha256, size, thumbnail)
        self._waiting.append((photo, to_unit_length(embedding).astype(np.float16)))
        if len(self._waiting) >= _FLUSH_EVERY:
            self.flush()

    def has(self, path: str, sha256: str) -> bool:
        """Return whether there is this photo, with these bytes."""
        self.flush()
        query = "SELECT 1 FROM photos WHERE path = ? AND sha256 = ?"
        return self._connection.execute(query, (path, sha256)).fetchone() is not None

    def drop(self, path: str) -> None:
        """Remove a photo; the last one takes its row."""
        self.flush()
        last = len(self) - 1
        query = "SELECT row FROM photos WHERE path = ?"
        (row,) = self._connection.execute(query, (path,)).fetchone()
        moved = self.vectors(last, 1).astype(np.float16).tobytes()
        with (self.folder / _VECTORS).open("r+b") as file:
            file.seek(row * len(moved))
            file.write(moved)
        with self._connection:
            self._connection.execute("DELETE FROM photos WHERE row = ?", (row,))
            self._connection.execute(
                "UPDATE photos SET row = ?, vector = ? WHERE row = ?", (row, row, last)
            )
        self._file.truncate(last * len(moved))
        self._committed = last

    def flush(self) -> None:
        """Write what waits: the vectors first, so that the table never has more."""
        if not self._waiting:
            return
        self._file.write(np.stack([vector for _, vector in self._waiting]).tobytes())
        self._file.flush()
        os.fsync(self._file.fileno())
        photo_table.insert(self._connection, (photo for photo, _ in self._waiting), None)
        self._committed += len(self._waiting)
        self._waiting = []

    def photos(self) -> Iterator[IndexedPhoto]:
        """Yield the photos in order, with their thumbnails."""
        return photo_table.all_photos(self._connection)

    def vectors(self, first: int, count: int) -> NDArray[np.float32]:
        """Return the embeddings of `count` photos from `first`, of length 1."""
        path, row_bytes = self.folder / _VECTORS, self.dimension * _NUMBER_BYTES
        with path.open("rb") as file:
            file.seek(first * row_bytes)
            data = file.read(count * row_bytes)
        return np.frombuffer(data, np.float16).reshape(-1, self.dimension).astype(np.float32)

    def remove(self) -> None:
        """Remove the folder, which is no longer needed."""
        shutil.rmtree(self.folder, ignore_errors=True)
