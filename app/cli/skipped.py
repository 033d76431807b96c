"""The report of files that a command skips, because they are no photos."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

import click

from app.bulk.rows import printable
from app.bulk.text_rows import one_line
from app.cli.output_file import identity_of, is_input, open_output
from app.sources.entry import Skipped

_SHOWN = 3


class SkippedReport:
    """Counts what is skipped, for a report at the end; a context manager.

    Args:
        file: the file that lists all of them; None: no list.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._replaced = None if file is None else identity_of(file)
        self.count = 0
        self._first: list[str] = []
        self._list: IO[str] | None = None

    def __enter__(self) -> Self:
        """Open a temporary list, if one is needed."""
        if self._file is not None:
            self._list = tempfile.TemporaryFile("w+", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the temporary list."""
        if self._list is not None:
            self._list.close()

    def add(self, path: object) -> None:
        """Note a file, or anything else, that is skipped."""
        self.count += 1
        if len(self._first) < _SHOWN:
            self._first.append(one_line(path))
        if self._list is not None:
            self._list.write(f"{printable(path)}\n")

    def add_entry(self, skipped: Skipped) -> None:
        """Note what a source skips.

        Raises:
            BadParameter: it is the file of the list, which would be replaced.
        """
        if self._replaced is not None and identity_of(Path(skipped.path)) == self._replaced:
            assert self._file is not None
            raise is_input(self._file, "--skipped")
        self.add(skipped.path)

    def write(self) -> None:
        """Write the list, and the count on standard error."""
        if self._file is not None and self._list is not None:
            self._list.seek(0)
            with open_output(self._file) as out:
                out.writelines(self._list)
        if self.count:
            more = self.count - _SHOWN
            rest = "" if more <= 0 else f" and {more} more"
            hint = "" if more <= 0 or self._file is not None else "; --skipped FILE lists them all"
            names = ", ".join(self._first)
            click.echo(f"skipped, no photos ({self.count}): {names}{rest}{hint}", err=True)


def report_skipped(skipped: Sequence[Path], file: Path | None) -> None:
    """Count skipped files on standard error, and list them in `file` where one is named."""
    with SkippedReport(file) as report:
        for path in skipped:
            report.add(path)
        report.write()
