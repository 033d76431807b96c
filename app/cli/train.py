"""`hubel train`: run `training.pipeline` on a folder of labelled photos."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, expected_errors, train_extra
from app.cli.options import (
    DEVICE,
    FOLDER,
    checked_name,
    checked_version,
    force_option,
    name_option,
    output_option,
    version_option,
)

if TYPE_CHECKING:
    from training.recipes.registry import RecipeName


@click.command()
@click.argument("data", type=FOLDER)
@output_option
@force_option
@click.option(
    "--recipe",
    type=click.Choice(["head", "finetune", "scratch"]),
    default="head",
    show_default=True,
    help="Recipe. head: a new last layer, in seconds. finetune: a whole network from ImageNet's "
    "weights. scratch: a whole network from random weights. The last two need torch.",
)
@click.option(
    "--network",
    type=click.Choice(["textbook", "fast"]),
    help="Network of scratch: textbook is easy to understand, fast is accurate.  "
    "[default: textbook]",
)
@click.option(
    "--size",
    type=click.IntRange(8, 480),
    help="Side of the network's input, in pixels, for scratch.  [default: 32]",
)
@click.option(
    "--backbone",
    type=click.Choice(["lite0", "lite2"]),
    help="EfficientNet-Lite that finetune starts from.  [default: lite0]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Number of epochs of finetune and scratch. Unset: the recipe's number.",
)
@click.option(
    "--device", type=DEVICE, help="Device that trains, for finetune and scratch.  [default: auto]"
)
@click.option(
    "--resume",
    is_flag=True,
    default=None,
    help="Continue an interrupted run of the same command, for finetune and scratch.",
)
@name_option
@version_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the split and of training. The same seed gives the same model.",
)
def train(
    data: Path,
    output: Path,
    force: bool,
    recipe: "RecipeName",
    name: str | None,
    version: int | None,
    seed: int,
    **options: Any,
) -> None:
    """Train a model on DATA, a folder with one folder of photos per class.

    If DATA contains train/, alone or beside val/ and test/, this split is used.
    """
    from app.runtime.evaluation.interval import with_interval

    with train_extra("Training"):
        from training import pipeline as training
        from training.errors import GateMissed
        from training.recipes import registry

    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # like Ctrl-C: partial files are removed
    with expected_errors():
        try:
            selected = registry.make_recipe(recipe, **options)
            arguments = training.Arguments(
                data=data,
                output=output.resolve(),
                recipe=selected,
                name=checked_name(name, output),
                version=checked_version(version, output),
                seed=seed,
                force=force,
            )
            result = training.train(arguments, click.echo)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    for precision, figures in result.bundle.manifest.metrics.items():
        click.echo(
            f"{precision}: top-1 {with_interval(figures.top1, figures.images)}, "
            f"ECE {figures.ece:.3f} on "
            f"{figures.images} test photos"
        )
    click.echo(f"written to {output} in {result.bundle.manifest.training.seconds:.0f} s")
