"""The report of files that a command skips: they are no photos, or are read already."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import click

from app.bulk.rows import printable
from app.bulk.text_rows import one_line
from app.cli.exit_codes import WrongUsage
from app.cli.output_file import identity_of, is_input, open_output
from app.sources.entry import Skipped

_SHOWN = 3


@dataclass
class _Some:
    """The number of the paths that are skipped for one reason, and the first of them."""

    reason: str
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, path: object) -> None:
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(one_line(path))

    def text(self, *, are_listed: bool) -> str:
        more = self.count - len(self.first)
        rest = f" and {more} more" if more else ""
        hint = "; --skipped FILE lists them all" if more and not are_listed else ""
        return f"skipped, {self.reason} ({self.count}): {', '.join(self.first)}{rest}{hint}"


class SkippedReport:
    """Counts what is skipped, for a report at the end; a context manager.

    Args:
        file: the file that lists all of them; None: no list.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._replaced = None if file is None else identity_of(file)
        self._no_photos, self._repeats = _Some("no photos"), _Some("read already")
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

    def no_photos_in(self, sources: Sequence[str]) -> WrongUsage:
        """Return the error for sources without photos."""
        count = self._no_photos.count
        others = f" ({count} files are no photos)" if count else ""
        return WrongUsage(
            f"There are no photos in {', '.join(sources)}{others}. Name photos, or what holds them."
        )

    def add(self, path: object, *, is_repeat: bool = False) -> None:
        """Note a file, or anything else, that is skipped; `is_repeat`: it is read elsewhere."""
        (self._repeats if is_repeat else self._no_photos).add(path)
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
        self.add(skipped.path, is_repeat=skipped.is_repeat)

    def write(self) -> None:
        """Write the list, and the counts on standard error."""
        if self._file is not None and self._list is not None:
            self._list.seek(0)
            with open_output(self._file) as out:
                out.writelines(self._list)
        for some in (self._no_photos, self._repeats):
            if some.count:
                click.echo(some.text(are_listed=self._file is not None), err=True)


def report_skipped(
    skipped: Sequence[Path], file: Path | None, repeats: Sequence[Path] = ()
) -> None:
    """Count skipped files on standard error, and list them in `file` where one is named.

    Args:
        skipped: the files that are no photos.
        file: the file of the list; None: no list.
        repeats: the files that are read by another path.
    """
    with SkippedReport(file) as report:
        for path in skipped:
            report.add(path)
        for path in repeats:
            report.add(path, is_repeat=True)
        report.write()
