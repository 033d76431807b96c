"""A change of the store: rows in a transaction, and the files that belong to them."""

import json
import sqlite3

from app.captures.capture import NewCapture, StoreLimits, Totals
from app.captures.photo_files import PhotoFiles
from app.captures.sketch import sketch_of


class Change:
    """A change of rows and files, of which the rows aren't committed yet."""

    def __init__(self, connection: sqlite3.Connection, files: PhotoFiles) -> None:
        self.connection = connection
        self._files = files
        self._written: dict[str, str] = {}
        self._removed: dict[str, str] = {}
        """Formats by SHA-256."""

    def write(self, data: bytes, sha256: str, format: str) -> None:
        """Write a file; see `PhotoFiles.write`."""
        existed = self._files.path(sha256, format).exists()
        self._files.write(data, sha256, format)
        if not existed:
            self._written[sha256] = format
        self._removed.pop(sha256, None)

    def remove(self, sha256: str) -> None:
        """Remove a photo with all its captures; its file goes once the rows are committed."""
        photo = self.connection.execute(
            "SELECT format FROM photos WHERE sha256 = ?", (sha256,)
        ).fetchone()
        forget(self.connection, sha256)
        self._removed[sha256] = photo["format"]

    def finish(self) -> None:
        """Remove the files of removed photos."""
        for sha256, format in self._removed.items():
            self._files.remove(sha256, format)

    def undo(self) -> None:
        """Remove the files that were written."""
        for sha256, format in self._written.items():
            self._files.remove(sha256, format)


def first_to_leave(
    connection: sqlite3.Connection, size: int, photos: int, limits: StoreLimits
) -> tuple[list[str], bool]:
    """Return the oldest photos without a label that must leave, and whether there are enough.

    Args:
        connection: to the database.
        size: bytes that are to be added.
        photos: photos that are to be added.
        limits: what must hold then.
    """
    held = totals_of(connection)
    bytes_over = held.bytes + size - limits.bytes
    photos_over = held.photos + photos - limits.photos
    leave: dict[str, None] = {}
    for row in connection.execute(
        "SELECT sha256, bytes FROM captures INDEXED BY captures_unlabelled JOIN photos "
        "USING (sha256) WHERE labelled_ms IS NULL AND NOT EXISTS (SELECT 1 FROM captures AS other "
        "WHERE other.sha256 = captures.sha256 AND other.labelled_ms IS NOT NULL) ORDER BY id"
    ):
        if bytes_over <= 0 and photos_over <= 0:
            break
        if row["sha256"] not in leave:
            leave[row["sha256"]] = None
            bytes_over -= row["bytes"]
            photos_over -= 1
    return list(leave), bytes_over <= 0 and photos_over <= 0


def totals_of(connection: sqlite3.Connection) -> Totals:
    """Return what the store of a connection holds."""
    row = connection.execute("SELECT photos, bytes FROM totals").fetchone()
    return Totals(row["photos"], row["bytes"])


def forget(connection: sqlite3.Connection, sha256: str) -> None:
    """Remove the rows of a photo."""
    connection.execute("DELETE FROM captures WHERE sha256 = ?", (sha256,))
    connection.execute("DELETE FROM photos WHERE sha256 = ?", (sha256,))


def insert(connection: sqlite3.Connection, new: NewCapture, sha256: str) -> int:
    """Add the row of a capture whose photo has one; return its id."""
    first = new.predictions[0]
    row = connection.execute(
        "INSERT INTO captures (sha256, request_id, photo_index, model, version, decision, "
        "predicted, confidence, predictions, reason, captured_ms, sketch) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            *(sha256, new.request_id, new.index, new.model, new.version, new.decision),
            *(first.label, first.probability, json.dumps(new.predictions)),
            *(new.reason, new.captured_ms),
            None if new.features is None else sketch_of(new.features),
        ),
    ).fetchone()
    return int(row["id"])
