"""A folder of parts: one for each shard, renamed when it is complete, so that a run can go on.

    OUT/part-000000.jsonl      the rows of the first shard; there once they are complete
    OUT/.hubel/run.json        the settings of the run; another run must have the same
    OUT/.hubel/shards.jsonl    the shards, listed once
    OUT/.hubel/part-000000.json .skipped    counts of a part, and what it has no row for
    OUT/.hubel/lock            one run at a time

A part's counts are written before the part is renamed into place, and the part is on disk by then:
whatever ends the run, a shard has all of its rows or none.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from app import __version__
from app.bulk.classification import Result, ShardEnd
from app.bulk.part import Part
from app.bulk.row_file import Counts
from app.bulk.text_rows import Columns
from app.errors import BadParameter
from app.sources.entry import Skipped
from app.sources.errors import SourceUnavailable
from app.sources.plan import Plan, read_shards
from app.sources.shard import Shard

HIDDEN = ".hubel"
_RUN, _SHARDS, _LOCK = "run.json", "shards.jsonl", "lock"
_SCHEMA_VERSION = 1


class PartFolder:
    """The output folder of a run; a context manager that keeps other runs out of it.

    Args:
        folder: the folder; it is created.
        form: the format of the parts.

    Raises:
        BadParameter: the folder holds other files, can't be written, or another run uses it.
    """

    def __init__(self, folder: Path, form: str) -> None:
        self.folder, self.form = folder, form
        self.hidden = folder / HIDDEN
        """The folder for what is no rows."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Create the folder, and remove what a run that was killed has left unfinished."""
        try:
            self.folder.mkdir(exist_ok=True)
            others = [name for name in os.listdir(self.folder) if name != HIDDEN]
            if others and not (self.hidden / _RUN).is_file():
                raise BadParameter(
                    f"{self.folder} holds other files, such as {min(others)}. Name a new folder, "
                    "an empty one, or one of an earlier run for --output."
                )
            self.hidden.mkdir(exist_ok=True)
            self._lock()
            for leftover in self.hidden.glob(f"*{Part.SUFFIX}"):
                leftover.unlink(missing_ok=True)
        except OSError as err:
            self._stack.close()
            raise BadParameter(
                f"{self.folder} can't be written ({err.strerror}). Name another --output."
            ) from err
        return self

    def __exit__(self, *_: object) -> None:
        """Let other runs use the folder."""
        self._stack.close()

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the folder."""
        status = self.folder.stat()
        return status.st_dev, status.st_ino

    def begin(self, settings: Mapping[str, Any], plan: Plan, shards: IO[str]) -> None:
        """Begin a run, or go on with one that had the same settings and files.

        Args:
            settings: what rows depend on.
            plan: the plan of the run.
            shards: its shards, as the planner wrote them.

        Raises:
            BadParameter: the folder's run had other settings, or its files have changed.
        """
        record: dict[str, Any] = {"settings": dict(settings), "plan": asdict(plan)}
        if (self.hidden / _RUN).is_file():
            self._require_same(json.loads(json.dumps(record)))
            return
        shards.seek(0)
        self._write(_SHARDS, shards)
        record = {"schema_version": _SCHEMA_VERSION, "hubel": __version__, **record}
        self._write(_RUN, iter([json.dumps(record, indent=1)]))

    def unfinished(self) -> Iterator[Shard]:
        """Yield the shards without a part."""
        with (self.hidden / _SHARDS).open(encoding="utf-8") as lines:
            for shard in read_shards(lines):
                if not self.part_path(shard).exists():
                    yield shard

    def finished(self, on_skipped: Callable[[Skipped], None]) -> Counts:
        """Return the counts of the parts that are complete, and report what they skipped."""
        counts = Counts()
        for path in sorted(self.folder.glob(f"part-*.{self.form}")):
            part = json.loads((self.hidden / f"{path.stem}.json").read_bytes())
            counts += Counts(**part)
            if part["skipped"]:
                with (self.hidden / f"{path.stem}.skipped").open(encoding="utf-8") as lines:
                    for line in lines:
                        on_skipped(Skipped(*json.loads(line)))
        return counts

    def write(
        self,
        results: Iterable[Result],
        columns: Columns,
        on_skipped: Callable[[Skipped], None] = lambda _: None,
        on_row: Callable[[], None] = lambda: None,
    ) -> Counts:
        """Write the parts of whole shards, and return their counts; also on a worker of a cluster.

        Args:
            results: the results of the shards, in order.
            columns: what rows hold.
            on_skipped: called with what has no row.
            on_row: called after each row.

        Raises:
            SourceUnavailable: a store can't be reached; the parts before are kept.
        """
        counts = Counts()
        part: Part | None = None
        try:
            for result in results:
                part = part or Part(self.hidden, self.form, columns)
                if isinstance(result, ShardEnd):
                    part.finish(self.part_path(result.shard))
                    counts += part.counts
                    part = None
                elif isinstance(result, Skipped):
                    part.skip(result)
                    on_skipped(result)
                elif isinstance(result.result, SourceUnavailable):
                    raise result.result
                else:
                    part.write(result)
                    on_row()
        finally:
            if part is not None:
                part.discard()
        return counts

    def part_path(self, shard: Shard) -> Path:
        """Return the place of a shard's part."""
        return self.folder / f"part-{shard.number:06}.{self.form}"

    def _lock(self) -> None:
        file = self._stack.enter_context((self.hidden / _LOCK).open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            self._stack.close()
            raise BadParameter(
                f"Another run writes to {self.folder}. Wait for its end, or name another --output."
            ) from err

    def _require_same(self, record: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.hidden / _RUN).read_bytes())
            old, old_plan = before["settings"], before["plan"]
        except (ValueError, KeyError) as err:
            raise BadParameter(f"{self.hidden / _RUN} is damaged. Name another --output.") from err
        for name, value in record["settings"].items():
            if old.get(name) != value:
                raise BadParameter(
                    f"{self.folder} is of a run with {name} {old.get(name)}, and this run has "
                    f"{value}. Run it with the same, or name another --output."
                )
        if old_plan["fingerprint"] != record["plan"]["fingerprint"]:
            raise BadParameter(
                f"The files to classify have changed since {self.folder} was begun: it had "
                f"{_files_text(old_plan)}, and there are {_files_text(record['plan'])}. Name "
                "another --output."
            )

    def _write(self, name: str, lines: Any) -> None:
        beside = self.hidden / f"{name}{Part.SUFFIX}"
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.hidden / name)


def _files_text(plan: Mapping[str, Any]) -> str:
    return f"{plan['photos']:,} photos and {plan['archives']:,} tar or Parquet files"
