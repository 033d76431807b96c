"""`hubel train`: the command line of `training.pipeline`."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, expected_errors, train_extra
from app.cli.options import DEVICE, FOLDER, checked_name

if TYPE_CHECKING:
    from training.recipes.registry import RecipeName


@click.command()
@click.argument("data", type=FOLDER)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the bundle; one that stands there is replaced.",
)
@click.option(
    "--recipe",
    type=click.Choice(["head", "finetune", "scratch"]),
    default="head",
    show_default=True,
    help="A new last layer in seconds; or, with torch, a whole network from ImageNet's weights or "
    "from random ones.",
)
@click.option(
    "--network",
    type=click.Choice(["textbook", "fast"]),
    help="Of scratch: to be understood, or to be good.  [default: textbook]",
)
@click.option(
    "--size",
    type=click.IntRange(8, 480),
    help="Of scratch: side of what the network reads, in pixels.  [default: 32]",
)
@click.option(
    "--backbone",
    type=click.Choice(["lite0", "lite2"]),
    help="Of finetune: the EfficientNet-Lite to begin with.  [default: lite0]",
)
@click.option("--epochs", type=click.IntRange(1), help="Of finetune and scratch.")
@click.option("--device", type=DEVICE, help="Of finetune and scratch.  [default: auto]")
@click.option(
    "--resume",
    is_flag=True,
    default=None,
    help="Of finetune and scratch: go on where an interrupted run of the same command stopped.",
)
@click.option("--name", help="The model's name.  [default: that of the output folder]")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the split and of training; the same seed gives the same model.",
)
def train(
    data: Path,
    output: Path,
    recipe: "RecipeName",
    name: str | None,
    version: int,
    seed: int,
    **options: Any,
) -> None:
    """Train a model on DATA, a folder with one folder of photos per class.

    Where DATA has train/ and val/ or test/ inside, the split is used as given.
    """
    with train_extra("Training"):
        from training import pipeline as training
        from training.errors import GateMissed
        from training.recipes import registry

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing stays half-done
    with expected_errors():
        try:
            chosen = registry.make_recipe(recipe, **options)
            arguments = training.Arguments(
                data, output.resolve(), chosen, checked_name(name, output), version, seed
            )
            made = training.train(arguments, click.echo)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    for precision, figures in made.bundle.manifest.metrics.items():
        click.echo(
            f"{precision}: top-1 {100 * figures.top1:.1f} %, ECE {figures.ece:.3f} on "
            f"{figures.images} test photos"
        )
    click.echo(f"written to {output} in {made.bundle.manifest.training.seconds:.0f} s")
