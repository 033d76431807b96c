"""The captures of a folder: added, listed, labelled, deleted, and kept within limits.

    add:    files -> rows -> commit
    remove: rows -> commit -> files
    start:  files without a row are removed, and rows without their file

So a row always has its file. A process that is killed in between leaves a file without a row until
the next start. Only one process at a time changes anything, so that none removes a file that
another one has just written.
"""

import fcntl
import hashlib
import logging
import sqlite3
import time
from collections.abc import Generator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.captures import database
from app.captures.capture import Capture, NewCapture, StoreLimits, Totals
from app.captures.change import Change, first_to_leave, forget, insert, totals_of
from app.captures.photo_files import PhotoFiles
from app.captures.rows import capture_of
from app.errors import BadParameter

log = logging.getLogger("hubel")

FOLDER = "captures"
"""The folder of the captures in HUBEL_DATA_DIR."""
_MAX_ORPHANS = 1000
"""More files than this are not those of one change that was interrupted."""
_LOCK = "service.lock"
_DAY_MS = 24 * 3600 * 1000


class Store:
    """The captures in a data folder.

    Args:
        data_dir: the folder of HUBEL_DATA_DIR, which must exist.

    Raises:
        BadParameter: the folder can't be written, or its database can't be used.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.files = PhotoFiles(self.folder)
            database.migrate(self.folder)
        except (OSError, sqlite3.DatabaseError) as err:
            advice = "Name a folder that this user may write in HUBEL_DATA_DIR."
            if isinstance(err, sqlite3.DatabaseError) and "not a database" in str(err):
                advice = f"Restore {database.FILE}, or move the whole folder {self.folder} away."
            raise BadParameter(f"{data_dir} can't keep photos ({err}). {advice}") from err

    def claim(self) -> IO[bytes]:
        """Return a lock that only one service has; close it to let another one have it.

        Raises:
            BadParameter: another service has it.
        """
        lock = (self.folder / _LOCK).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            lock.close()
            raise BadParameter(
                f"Another service keeps photos in {self.folder}. Give each a HUBEL_DATA_DIR of its "
                "own."
            ) from err
        return lock

    def repair(self) -> None:
        """Remove files without a row, and rows without their file; call it while no other adds.

        Raises:
            BadParameter: most are missing on one side, so the database or the files are elsewhere.
        """
        with self._change() as change:
            connection = change.connection
            rows = connection.execute("SELECT sha256, format FROM photos").fetchall()
            known = {f"{row['sha256']}.{row['format']}": row["sha256"] for row in rows}
            self._check_belong_together(known.keys(), self.files.names())
            removed = self.files.remove_all_but(known)
            lost = [known[name] for name in known.keys() - self.files.names()]
            for sha256 in lost:
                forget(connection, sha256)
        if removed or lost:
            log.warning(
                "captures: %d files of an interrupted change were removed, and %d entries whose "
                "file is missing",
                removed,
                len(lost),
            )

    def _check_belong_together(self, known: Set[str], files: Set[str]) -> None:
        """Check that a kill can have left this difference between rows and files."""
        without_row, without_file = len(files - known), len(known - files)
        if without_row > max(_MAX_ORPHANS, len(known)):
            raise BadParameter(
                f"{without_row} photos in {self.folder} are not in its database. Restore the "
                f"database, or move the whole folder {self.folder} away."
            )
        if without_file and not files:
            raise BadParameter(
                f"The files of all {without_file} photos in {self.folder} are missing. Restore or "
                f"mount its folder photos, or move the whole folder {self.folder} away."
            )

    def add(self, captures: Sequence[NewCapture], limits: StoreLimits) -> list[int | None]:
        """Keep `captures`; return the id of each, or None where labelled photos leave no room.

        A photo that is there already, by the same model, stays as it is.

        Raises:
            OSError: a file can't be written; none of them is kept.
            sqlite3.Error: the database can't be changed; likewise.
        """
        with self._change() as change:
            return [self._add(change, capture, limits) for capture in captures]

    def _add(self, change: Change, new: NewCapture, limits: StoreLimits) -> int | None:
        sha256 = hashlib.sha256(new.data).hexdigest()
        connection = change.connection
        found = connection.execute(
            "SELECT id FROM captures WHERE sha256 = ? AND model = ?", (sha256, new.model)
        ).fetchone()
        if found:
            return int(found["id"])
        known = connection.execute("SELECT 1 FROM photos WHERE sha256 = ?", (sha256,)).fetchone()
        if not known:
            leave, fits = first_to_leave(connection, len(new.data), 1, limits)
            if not fits:
                return None
            for oldest in leave:
                change.remove(oldest)
            change.write(new.data, sha256, new.format)
            connection.execute(
                "INSERT INTO photos VALUES (?, ?, ?, ?, ?)",
                (sha256, len(new.data), new.format, new.width, new.height),
            )
        return insert(connection, new, sha256)

    def prune(self, limits: StoreLimits, now_ms: int | None = None) -> int:
        """Remove unlabelled photos beyond the limits; return the number of photos removed."""
        now_ms = now_ms or int(time.time() * 1e3)
        with self._change() as change:
            connection = change.connection
            before = totals_of(connection).photos
            old = connection.execute(
                "SELECT sha256 FROM captures GROUP BY sha256 "
                "HAVING max(labelled_ms) IS NULL AND max(captured_ms) < ?",
                (now_ms - int(limits.days * _DAY_MS),),
            ).fetchall()
            for row in old:
                change.remove(row["sha256"])
            for sha256 in first_to_leave(connection, 0, 0, limits)[0]:
                change.remove(sha256)
            return before - totals_of(connection).photos

    def label(
        self,
        ids: Sequence[int],
        labels: Sequence[str] | None,
        *,
        wrong: bool = False,
        by: str | None = None,
        by_feedback: bool = False,
        now_ms: int | None = None,
    ) -> list[Capture]:
        """Give captures their labels, and return those of `ids` that exist.

        Args:
            ids: the captures.
            labels: their labels; empty: none of the labels fits; None takes labels back.
            wrong: without labels: the prediction is wrong. The photo stays without a label.
            by: the name of the key.
            by_feedback: whether it comes from a client. It changes nothing that others have said.
            now_ms: milliseconds since 1970; None: now.
        """
        at = None if labels is None else (now_ms or int(time.time() * 1e3))
        names = list(dict.fromkeys(labels or ()))
        with self._change() as change:
            connection = change.connection
            captures = []
            for id in dict.fromkeys(ids):
                if by_feedback and _is_reviewed(connection, id):
                    captures.append(capture_of(connection, id))
                    continue
                connection.execute("DELETE FROM labels WHERE capture_id = ?", (id,))
                changed = connection.execute(
                    "UPDATE captures SET labelled_ms = ?, labelled_by = ?, wrong = ?, "
                    "by_feedback = ? WHERE id = ?",
                    (at, by if at or wrong else None, wrong, by_feedback, id),
                ).rowcount
                if changed:
                    connection.executemany(
                        "INSERT INTO labels (label, capture_id, place) VALUES (?, ?, ?)",
                        [(label, id, place) for place, label in enumerate(names)],
                    )
                    captures.append(capture_of(connection, id))
            return [capture for capture in captures if capture is not None]

    def delete(self, ids: Sequence[int]) -> list[tuple[str, int]]:
        """Delete captures, and the files that no other capture has.

        Returns:
            The request and the position in it of each that was deleted.
        """
        with self._change() as change:
            deleted = []
            for id in dict.fromkeys(ids):
                row = change.connection.execute(
                    "DELETE FROM captures WHERE id = ? RETURNING sha256, request_id, photo_index",
                    (id,),
                ).fetchone()
                if row is None:
                    continue
                deleted.append((row["request_id"], row["photo_index"]))
                others = change.connection.execute(
                    "SELECT 1 FROM captures WHERE sha256 = ?", (row["sha256"],)
                ).fetchone()
                if not others:
                    change.remove(row["sha256"])
            return deleted

    @contextmanager
    def _change(self) -> Generator[Change, None, None]:
        """Yield a change of rows and files; if the block fails, neither changes."""
        with database.alone(self.folder):
            change: Change | None = None
            try:
                with database.writing(self.folder) as connection:
                    change = Change(connection, self.files)
                    yield change
            except BaseException:
                if change is not None:
                    change.undo()
                raise
            change.finish()

    def totals(self) -> Totals:
        """Return what the store holds."""
        with database.reading(self.folder) as connection:
            return totals_of(connection)


def _is_reviewed(connection: sqlite3.Connection, id: int) -> bool:
    """Return whether somebody with the scope label has said something about a capture."""
    row = connection.execute(
        "SELECT 1 FROM captures WHERE id = ? AND by_feedback = 0 "
        "AND (labelled_ms IS NOT NULL OR wrong)",
        (id,),
    ).fetchone()
    return row is not None
