"""Write the rows of results to a file of one of the formats; count them."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.bulk.classification import Result
from app.bulk.text_rows import Columns, WriteRow, row_writer
from app.errors import HubelError
from app.runtime.bulk import PhotoResult
from app.sources.entry import Skipped

FORMATS = ("jsonl", "csv", "parquet")
"""Formats of files; their suffixes have the same names."""


@dataclass
class Counts:
    """How many rows there are."""

    rows: int = 0
    failed: int = 0
    """Rows with an error."""
    skipped: int = 0
    """Files without a row: they are no photos."""

    def __iadd__(self, other: "Counts") -> "Counts":
        """Add other counts."""
        self.rows += other.rows
        self.failed += other.failed
        self.skipped += other.skipped
        return self


@contextmanager
def open_rows(form: str, columns: Columns, path: Path) -> Generator[WriteRow, None, None]:
    """Yield the function that writes a row to a new file, or over an old one."""
    if form == "parquet":
        from app.bulk.parquet_rows import parquet_writer

        with parquet_writer(path, columns) as write_row:
            yield write_row
        return
    with path.open("w", encoding="utf-8", newline="") as out:
        yield row_writer(form, columns, out)


def write_results(
    results: Iterable[Result],
    write_row: WriteRow,
    on_skipped: Callable[[Skipped], None],
    on_row: Callable[[], None] = lambda: None,
) -> Counts:
    """Write a row for each photo, and return the counts.

    Args:
        results: the results of all shards, in order.
        write_row: writes the row of a photo.
        on_skipped: called with what is skipped.
        on_row: called after each row.
    """
    counts = Counts()
    for result in results:
        if isinstance(result, PhotoResult):
            write_row(result)
            counts.rows += 1
            counts.failed += isinstance(result.result, HubelError)
            on_row()
        elif isinstance(result, Skipped):
            counts.skipped += 1
            on_skipped(result)
    return counts
