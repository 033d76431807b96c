"""`hubel calibrate`: choose the thresholds of a bundle by labelled photos."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, cleanup_on_sigterm, expected_errors
from app.cli.installation import train_extra
from app.cli.options import (
    FOLDER,
    accept_per_class_option,
    accept_precision_option,
    checked_name,
    force_option,
    is_version,
    labels_from_option,
)

if TYPE_CHECKING:
    from app.dataset.label_table import Form


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("data", type=FOLDER)
@accept_precision_option
@accept_per_class_option
@labels_from_option
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the bundle with the thresholds.  [default: BUNDLE, which is replaced]",
)
@force_option
@click.option("--name", help="Name of the model.  [default: the name of BUNDLE]")
@click.option(
    "--version",
    type=click.IntRange(1),
    help="Version of the model.  [default: name of the output folder where it is a number, else "
    "the version of BUNDLE]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the folds and the prototypes.",
)
@cleanup_on_sigterm()
def calibrate(
    bundle: Path,
    data: Path,
    accept_precision: float | None,
    accept_per_class: bool | None,
    labels_from: "Form | None",
    output: Path | None,
    force: bool,
    name: str | None,
    version: int | None,
    seed: int,
) -> None:
    """Choose the thresholds of BUNDLE by DATA, labelled photos that it was not trained on.

    A bundle without a threshold for `unknown` gets one. With --accept-precision the probability
    from which a prediction is accepted keeps that promise. DATA has one folder of photos per label
    or label id; not every label needs one.
    """
    with train_extra("Calibrating"):
        from training.errors import GateMissed
        from training.existing_bundle import calibrate as calibrating
        from training.packaging.promise import Promise

    if accept_per_class and accept_precision is None:
        raise WrongUsage("--accept-per-class needs --accept-precision. Add it, such as 0.99.")
    place = (output or bundle).resolve()
    if version is None and output is not None and is_version(place):
        version = int(place.name)
    arguments = calibrating.Arguments(
        bundle=bundle,
        data=data,
        output=place,
        name=None if name is None else checked_name(name, place),
        version=version,
        seed=seed,
        promise=None if accept_precision is None else Promise(accept_precision, accept_per_class),
        labels_from=labels_from,
        force=force,
    )
    with expected_errors():
        try:
            calibrating.run(arguments, click.echo)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    click.echo(f"written to {output or bundle}")
