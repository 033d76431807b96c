"""The photos of an index, as an SQLite file: row -> path, hash, size and perhaps a thumbnail.

Each photo names the row of its vector in the graph, which it shares with photos that look the same.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import IndexInvalid

_SCHEMA = """
CREATE TABLE IF NOT EXISTS photos (
  row INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  thumbnail BLOB, vector INTEGER NOT NULL
) STRICT
"""
_COLUMNS = "row, path, sha256, bytes"


@dataclass(frozen=True, slots=True)
class IndexedPhoto:
    """A photo of an index."""

    row: int
    """Its place among the photos, from 0."""
    path: str
    """Relative to the index's root, or absolute where it lies elsewhere."""
    sha256: str
    size: int
    """Bytes of the file."""
    thumbnail: bytes | None = None
    """A JPEG; None: it has none, or it wasn't read."""


def create(path: Path) -> sqlite3.Connection:
    """Return a connection to a table that is written; it is made where there is none."""
    connection = sqlite3.connect(path)
    connection.execute(_SCHEMA)
    return connection


def insert(
    connection: sqlite3.Connection, photos: Iterable[IndexedPhoto], vectors: Sequence[int] | None
) -> None:
    """Add photos, and commit.

    Args:
        connection: the table.
        photos: the photos.
        vectors: the row of each photo's vector in the graph, by its own row; None: it is the same.
    """
    with connection:
        connection.executemany(
            "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?)",
            (
                (p.row, p.path, p.sha256, p.size, p.thumbnail, vectors[p.row] if vectors else p.row)
                for p in photos
            ),
        )


def all_photos(connection: sqlite3.Connection) -> Iterator[IndexedPhoto]:
    """Yield all photos in the order of their rows, with their thumbnails."""
    for values in connection.execute(f"SELECT {_COLUMNS}, thumbnail FROM photos ORDER BY row"):
        yield IndexedPhoto(*values)


def rows_and_paths(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Yield row and path of all photos in the order of their rows."""
    yield from connection.execute("SELECT row, path FROM photos ORDER BY row")


def sizes(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the bytes of each photo's file by its path."""
    return dict(connection.execute("SELECT path, bytes FROM photos"))


class PhotoTable:
    """A table that is only read, by any thread.

    Args:
        path: the file, which never changes.

    Raises:
        IndexInvalid: it isn't such a table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            # A mapped file that is cut off later would end the process.
            self._connection.execute("PRAGMA mmap_size=0")
            (self.count,) = self._connection.execute("SELECT count(*) FROM photos").fetchone()
        except sqlite3.Error as err:
            raise IndexInvalid(
                f"{path} can't be read by SQLite ({err}). Make the index again."
            ) from err

    def __del__(self) -> None:
        """Close the file, once no request uses it."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def photos(self, rows: Sequence[int], *, thumbnails: bool) -> list[IndexedPhoto]:
        """Return the photos of `rows`, in that order.

        Raises:
            IndexInvalid: the file was damaged.
        """
        columns = f"{_COLUMNS}, thumbnail" if thumbnails else _COLUMNS
        marks = ",".join("?" * len(rows))
        query = f"SELECT {columns} FROM photos WHERE row IN ({marks})"
        try:
            with closing(self._connection.execute(query, list(rows))) as cursor:
                found = {values[0]: IndexedPhoto(*values) for values in cursor}
            return [found[row] for row in rows]
        except (sqlite3.Error, KeyError) as err:
            raise IndexInvalid(
                f"{self._path} lacks a photo ({err}). Make the index again."
            ) from err

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each photo's file by its path."""
        return sizes(self._connection)

    def rows_and_paths(self) -> Iterator[tuple[int, str]]:
        """Yield row and path of all photos in the order of their rows."""
        return rows_and_paths(self._connection)

    def vectors(self) -> NDArray[np.int64]:
        """Return the row of each photo's vector in the graph, by the photo's own row.

        Raises:
            IndexInvalid: the rows of the photos have gaps.
        """
        query = "SELECT row, vector FROM photos ORDER BY row"
        found = np.fromiter(self._connection.execute(query), np.dtype((np.int64, 2)), self.count)
        self._connection.execute("PRAGMA shrink_memory")  # the pages that were read
        if (found[:, 0] != np.arange(self.count)).any():
            raise IndexInvalid(f"{self._path} lacks a photo. Make the index again.")
        return np.ascontiguousarray(found[:, 1])

    def all(self) -> Iterator[IndexedPhoto]:
        """Yield all photos in the order of their rows, with their thumbnails."""
        return all_photos(self._connection)
