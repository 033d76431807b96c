"""The report of files that a command skips, because they are no photos."""

from collections.abc import Sequence
from pathlib import Path

import click

from app.cli.output import printable
from app.cli.output_file import open_output

_SHOWN = 3


def report_skipped(skipped: Sequence[Path], file: Path | None) -> None:
    """Count skipped files on standard error, and list them in `file` where one is named."""
    if file is not None:
        with open_output(file) as out:
            out.writelines(f"{printable(path)}\n" for path in skipped)
    if skipped:
        names = ", ".join(printable(path) for path in skipped[:_SHOWN])
        more = len(skipped) - _SHOWN
        rest = "" if more <= 0 else f" and {more} more"
        hint = "" if more <= 0 or file is not None else "; --skipped FILE lists them all"
        click.echo(f"skipped, no photos ({len(skipped)}): {names}{rest}{hint}", err=True)
