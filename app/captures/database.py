"""The SQLite file of the captures: how it is opened, its tables, and their migrations.

`PRAGMA user_version` is the number of migrations that were applied. A migration is never changed;
another one is added at the end of `_MIGRATIONS`.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.errors import BadParameter

FILE = "captures.sqlite3"
_WAIT_S = 10.0
"""How long a change waits for that of another process."""
_LOOK_S = 0.005

_MIGRATIONS = (
    """
    CREATE TABLE photos (
        sha256 TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,
        format TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE captures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256 TEXT NOT NULL REFERENCES photos (sha256),
        request_id TEXT NOT NULL,
        photo_index INTEGER NOT NULL,
        model TEXT NOT NULL,
        version INTEGER NOT NULL,
        decision TEXT,
        predicted TEXT NOT NULL,
        confidence REAL NOT NULL,
        predictions TEXT NOT NULL,
        reason TEXT NOT NULL,
        captured_ms INTEGER NOT NULL,
        wrong INTEGER NOT NULL DEFAULT 0,
        labelled_ms INTEGER,
        labelled_by TEXT,
        by_feedback INTEGER NOT NULL DEFAULT 0,
        UNIQUE (sha256, model)
    );
    CREATE INDEX captures_by_model ON captures (model, id);
    CREATE INDEX captures_by_decision ON captures (decision, id);
    CREATE INDEX captures_by_predicted ON captures (predicted, id);
    CREATE INDEX captures_by_time ON captures (captured_ms);
    CREATE INDEX captures_by_request ON captures (request_id, photo_index);
    CREATE INDEX captures_by_confidence ON captures (confidence, id);
    CREATE INDEX captures_unlabelled ON captures (id) WHERE labelled_ms IS NULL;
    CREATE INDEX captures_to_label ON captures (confidence, id) WHERE labelled_ms IS NULL;
    CREATE INDEX captures_labelled ON captures (id) WHERE labelled_ms IS NOT NULL;

    CREATE TABLE labels (
        label TEXT NOT NULL,
        capture_id INTEGER NOT NULL REFERENCES captures (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        PRIMARY KEY (label, capture_id)
    ) WITHOUT ROWID;
    CREATE INDEX labels_by_capture ON labels (capture_id, place);

    CREATE TABLE totals (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        photos INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    );
    INSERT INTO totals VALUES (1, 0, 0);
    CREATE TRIGGER photo_added AFTER INSERT ON photos BEGIN
        UPDATE totals SET photos = photos + 1, bytes = bytes + new.bytes;
    END;
    CREATE TRIGGER photo_removed AFTER DELETE ON photos BEGIN
        UPDATE totals SET photos = photos - 1, bytes = bytes - old.bytes;
    END;
    """,
    """
    ALTER TABLE captures ADD COLUMN sketch BLOB;
    """,
)


def migrate(folder: Path) -> None:
    """Create the database of a folder, or bring it to the tables of this version of Hubel.

    Raises:
        BadParameter: a newer version of Hubel made it.
        sqlite3.DatabaseError: it is no database, or can't be written.
        OSError: the folder can't be read.
    """
    with alone(folder), _connected(folder) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        (applied,) = connection.execute("PRAGMA user_version").fetchone()
        if applied > len(_MIGRATIONS):
            raise BadParameter(
                f"{folder / FILE} was made by a newer version of Hubel. Upgrade Hubel, or set "
                "another HUBEL_DATA_DIR."
            )
        for number, migration in enumerate(_MIGRATIONS[applied:], applied + 1):
            connection.executescript(f"BEGIN; {migration} PRAGMA user_version = {number}; COMMIT;")


@contextmanager
def alone(folder: Path) -> Generator[None, None, None]:
    """Hold a lock on `folder`: one process, or one thread, at a time has it.

    Raises:
        TimeoutError: another one holds it for too long.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            if time.monotonic() > until:
                raise TimeoutError("another process is changing it") from err
            time.sleep(_LOOK_S)
        else:
            return


@contextmanager
def reading(folder: Path) -> Generator[sqlite3.Connection, None, None]:
    """Yield a connection whose reads all see the same state."""
    with _connected(folder) as connection:
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def writing(folder: Path) -> Generator[sqlite3.Connection, None, None]:
    """Yield a connection, alone in writing; commit if the block succeeds.

    What is committed is on the disk, so that a label that was acknowledged outlives a power cut.
    """
    with _connected(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def _connected(folder: Path) -> Generator[sqlite3.Connection, None, None]:
    connection = sqlite3.connect(folder / FILE, timeout=_WAIT_S, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection
    finally:
        connection.close()
