"""The command line `hubel`, one module per command. Heavy imports are inside the commands.

Exit codes (`exit_codes`): 0 success, 1 a failed check or photos that can't be used, 2 wrong usage
or input. An error is one line on standard error.
"""

import click

from app import __version__
from app.cli.calibrate import calibrate
from app.cli.captures import captures
from app.cli.check import check
from app.cli.classify import classify
from app.cli.compare import compare
from app.cli.duplicates import duplicates
from app.cli.evaluate import evaluate
from app.cli.health import health
from app.cli.import_ import import_
from app.cli.index import index
from app.cli.installation import Commands
from app.cli.job import job
from app.cli.keys import keys
from app.cli.serve import serve
from app.cli.train import train


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="hubel")
def main() -> None:
    """Train a CNN on your photos and serve it."""


for command in (
    calibrate,
    captures,
    check,
    classify,
    compare,
    duplicates,
    evaluate,
    health,
    import_,
    index,
    job,
    keys,
    serve,
    train,
):
    main.add_command(command)
