"""A part of a folder: the rows of one shard, renamed when they are complete."""

import json
import os
import uuid
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO

from app.bulk.row_file import Counts, open_rows
from app.bulk.text_rows import Columns
from app.errors import HubelError
from app.runtime.bulk import PhotoResult
from app.sources.entry import Skipped

_KINDS = ("rows", "skipped", "counts")


class Part:
    """A part that is written beside its place."""

    SUFFIX = ".tmp"

    def __init__(self, hidden: Path, form: str, columns: Columns) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._paths = [hidden / f"{name}.{kind}{self.SUFFIX}" for kind in _KINDS]
        self._hidden = hidden
        self.counts = Counts()
        self._open = ExitStack()
        self.write_row = self._open.enter_context(open_rows(form, columns, self._paths[0]))
        self._skipped: IO[str] = self._open.enter_context(
            self._paths[1].open("w", encoding="utf-8")
        )

    def write(self, photo: PhotoResult) -> None:
        """Write a row."""
        self.write_row(photo)
        self.counts.rows += 1
        self.counts.failed += isinstance(photo.result, HubelError)

    def skip(self, skipped: Skipped) -> None:
        """Note what has no row."""
        self._skipped.write(f"{json.dumps([skipped.path, skipped.reason])}\n")
        self.counts.skipped += 1

    def finish(self, place: Path) -> None:
        """Rename the part into its place, its counts first."""
        self._open.close()
        rows, skipped, counts = self._paths
        if self.counts.skipped:
            _sync(skipped)
            skipped.replace(self._hidden / f"{place.stem}.skipped")
        counts.write_text(json.dumps(asdict(self.counts)), encoding="utf-8")
        _sync(counts)
        counts.replace(self._hidden / f"{place.stem}.json")
        _sync(rows)
        rows.replace(place)
        skipped.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the unfinished part."""
        try:
            self._open.close()
        finally:
            for path in self._paths:
                path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file is on disk, so that no power cut leaves its name without its content."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
