"""`hubel import`: the command, its options and the questions that only its user can answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, expected_errors, train_extra
from app.cli.options import FILE, FOLDER, checked_name

if TYPE_CHECKING:
    from app.bundle import Resample

_CHANNELS = 3


class _Triple(click.ParamType[Any]):
    """Three numbers, or one for all three: 0.485,0.456,0.406."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.replace(",", " ").split())
        except ValueError:
            numbers = ()
        if len(numbers) == 1:
            numbers *= _CHANNELS
        if len(numbers) != _CHANNELS or not all(abs(number) < float("inf") for number in numbers):
            self.fail(f"{value!r} is not three numbers such as 0.485,0.456,0.406.", param, ctx)
        return numbers


@click.command(name="import")
@click.argument("model", metavar="MODEL.onnx", type=FILE)
@click.option(
    "--labels",
    type=FILE,
    required=True,
    help="One label a line, a JSON list or object, or a table (index, id, name).",
)
@click.option(
    "--size", type=int, help="Side of its input, in pixels, where the file leaves it open."
)
@click.option("--mean", type=_Triple(), help="Subtracted from each channel: three numbers, or one.")
@click.option("--std", type=_Triple(), help="Divided by, after that: three numbers, or one.")
@click.option(
    "--pixel-range",
    type=click.Choice(["1", "255"]),
    help="What white is, in the terms of --mean and --std.",
)
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Where the shape doesn't tell.")
@click.option(
    "--output-kind",
    type=click.Choice(["logits", "probabilities"]),
    help="Where no Softmax ends the graph.",
)
@click.option("--output-name", help="Where there are several outputs.")
@click.option("--channels", type=click.Choice(["rgb", "bgr"]), default="rgb", show_default=True)
@click.option(
    "--crop",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Side of the centre square that is kept, as a share.",
)
@click.option(
    "--resample",
    type=click.Choice(["box", "bilinear", "bicubic", "lanczos"]),
    default="box",
    show_default=True,
    help="Filter of the resize from that square.",
)
@click.option("--calibrate", type=FOLDER, help="Labelled photos that fit the temperature.")
@click.option("--int8", type=FOLDER, help="Labelled photos to make and judge an int8 graph by.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the bundle; one that stands there is replaced.",
)
@click.option("--name", help="The model's name.  [default: that of the output folder]")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def import_(
    *,
    model: Path,
    labels: Path,
    size: int | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    pixel_range: str | None,
    layout: Any,
    output_kind: Any,
    output_name: str | None,
    channels: Any,
    crop: float,
    resample: "Resample",
    calibrate: Path | None,
    int8: Path | None,
    output: Path,
    name: str | None,
    version: int,
    seed: int,
) -> None:
    """Make a bundle of MODEL.onnx, an image classifier from anywhere.

    It is served like any other then. What its file doesn't tell is asked for.
    """
    if mean is None or std is None or pixel_range is None:
        raise WrongUsage(
            "The file doesn't tell how pixels are normalised: say --mean, --std and --pixel-range "
            "as in the training; --mean 0 --std 1 --pixel-range 255 where the graph does it itself."
        )
    if min(std) <= 0:
        raise WrongUsage("--std must be over 0. Give the training's standard deviations.")
    with train_extra("Importing"):
        from training.errors import GateMissed
        from training.importing import importer
        from training.importing.source import Answers
        from training.importing.wrap import Normalization

    asked = importer.Arguments(
        model=model,
        labels=labels,
        output=output.resolve(),
        answers=Answers(size, layout, output_kind, output_name),
        normalization=Normalization(mean, std, 1 if pixel_range == "1" else 255, channels),
        crop=crop,
        resample=resample,
        name=checked_name(name, output),
        version=version,
        seed=seed,
        calibrate=calibrate,
        int8=int8,
    )
    with expected_errors():
        try:
            made = importer.run(asked, click.echo)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    for precision, figures in made.manifest.metrics.items():
        click.echo(
            f"{precision}: top-1 {100 * figures.top1:.1f} %, ECE {figures.ece:.3f} on "
            f"{figures.images} photos"
        )
    click.echo(f"written to {output}")
