"""The output of `hubel classify`: standard output, one file, or a folder of parts.

none                                  -> a table on standard output, or another format
a name in .jsonl, .csv or .parquet    -> one file, written beside its place
a pipe or device                      -> one file, written itself
any other name                        -> a folder of parts (app.bulk.part_folder)
"""

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

from app.bulk.classification import Result
from app.bulk.part_folder import PartFolder
from app.bulk.row_file import FORMATS, Counts, open_rows, write_results
from app.bulk.text_rows import Columns, WriteRow, row_writer
from app.cli.exit_codes import WrongUsage
from app.cli.output_file import open_output, replace_when_complete, require_safe_output
from app.sources.entry import Skipped
from app.sources.plan import Plan, Planner, read_shards
from app.sources.shard import Shard

OnSkipped = Callable[[Skipped], None]


class BulkOutput:
    """Where the rows of a run go, and the shards that they come from; a context manager.

    Args:
        output: a file or folder; None: standard output.
        form: the format that the user has named; None: that of the file's suffix.

    Raises:
        BadParameter: nothing can be written there.
        WrongUsage: the format doesn't fit, or needs an extra that is missing.
    """

    def __init__(self, output: Path | None, form: str | None) -> None:
        self.output = output
        is_folder = output is not None and _names_folder(output)
        self.form = _checked_form(output, form, is_folder=is_folder)
        if output is not None and not is_folder:
            require_safe_output(output, [])
        self._folder = PartFolder(output, self.form) if output is not None and is_folder else None
        self._stack = ExitStack()
        self._shards: IO[str] | None = None

    def __enter__(self) -> Self:
        """Open a temporary list of shards, and the folder."""
        if self._folder is not None:
            self._stack.enter_context(self._folder)
        self._shards = self._stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self._stack.close()

    @property
    def folder(self) -> PartFolder | None:
        """The folder of parts, if it is one."""
        return self._folder

    def plan(self, sources: Iterable[str], on_skipped: OnSkipped, on_file: Any) -> Plan:
        """List the sources; see `Planner`."""
        left_out = frozenset() if self._folder is None else frozenset({self._folder.identity})
        return Planner(self._list, on_skipped, on_file, left_out).plan(list(sources))

    def begin(self, settings: Mapping[str, Any], plan: Plan, on_skipped: OnSkipped) -> Counts:
        """Begin the run, and return the counts of what an earlier one has written.

        Raises:
            BadParameter: the folder is of a run with other settings or files.
        """
        if self._folder is None:
            return Counts()
        self._folder.begin({**settings, "format": self.form}, plan, self._list)
        return self._folder.finished(on_skipped)

    def shards(self) -> Iterator[Shard]:
        """Yield the shards that have no rows yet."""
        return read_shards(self._list) if self._folder is None else self._folder.unfinished()

    def write(
        self,
        results: Iterable[Result],
        columns: Columns,
        on_skipped: OnSkipped,
        on_row: Callable[[], None],
    ) -> Counts:
        """Write the rows of the results of these shards."""
        if self._folder is not None:
            return self._folder.write(results, columns, on_skipped, on_row)
        with self._rows(columns) as write_row:
            return write_results(results, write_row, on_skipped, on_row)

    @contextmanager
    def _rows(self, columns: Columns) -> Generator[WriteRow, None, None]:
        if self.form == "parquet":
            assert self.output is not None
            with (
                replace_when_complete(self.output) as part,
                open_rows(self.form, columns, part) as write_row,
            ):
                yield write_row
        else:
            with open_output(self.output) as out:
                yield row_writer(self.form, columns, out)

    @property
    def _list(self) -> IO[str]:
        assert self._shards is not None
        return self._shards


def _names_folder(output: Path) -> bool:
    """Return whether a name means a folder of parts.

    Raises:
        WrongUsage: it is a file whose suffix names no format.
    """
    if output.suffix.lower().removeprefix(".") in FORMATS:
        return False
    if not output.exists() or output.is_dir():
        return True
    require_safe_output(output, [])
    if output.is_file():
        raise WrongUsage(
            f"{output} is a file, and its name ends in none of .jsonl, .csv and .parquet. Name a "
            "file with one of them, or a folder, for --output."
        )
    return False


def _checked_form(output: Path | None, form: str | None, *, is_folder: bool) -> str:
    """Return the format of the rows.

    Raises:
        WrongUsage: the output can't have this format, or the extra `parquet` is not installed.
    """
    suffix = None if output is None else output.suffix.lower().removeprefix(".")
    if is_folder:
        form = form or "jsonl"
        if form == "table":
            raise WrongUsage(
                f"{output} would be a folder of parts, which are no tables. Choose another "
                "--format, or leave --output out."
            )
    elif suffix in FORMATS:
        if form not in (None, suffix):
            raise WrongUsage(
                f"{output} is {suffix} by its name, and --format is {form}. Leave --format out, "
                "or name another file."
            )
        form = suffix
    if form == "parquet":
        if output is None:
            raise WrongUsage(
                "Parquet can't be written to standard output. Name a file with --output."
            )
        _require_pyarrow()
    return form or "table"


def _require_pyarrow() -> None:
    try:
        import app.bulk.parquet_rows  # noqa: F401
    except ImportError as err:
        raise WrongUsage(
            f"Parquet needs {err.name}. Install the `parquet` extra, or choose another --format."
        ) from err
