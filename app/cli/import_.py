"""`hubel import`: make a bundle of an ONNX file; options supply what the file does not state."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, expected_errors, train_extra
from app.cli.options import (
    FILE,
    FOLDER,
    checked_name,
    checked_version,
    force_option,
    name_option,
    output_option,
    version_option,
)

if TYPE_CHECKING:
    from app.bundle import Resample

_CHANNELS = 3


class _Triple(click.ParamType[Any]):
    """Three numbers, or one number for all three: 0.485,0.456,0.406."""

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
    help="File of labels: one per line, JSON, a Python dictionary, CSV or TSV with a header, the "
    "names in a YAML file, or Hugging Face's config.json. Stated indices decide the order.",
)
@click.option("--size", type=int, help="Side of the input, in pixels. Unset: the side in the file.")
@click.option(
    "--mean", type=_Triple(), help="Mean of each channel, subtracted: three numbers, or one."
)
@click.option(
    "--std",
    type=_Triple(),
    help="Standard deviation of each channel, the divisor: three numbers, or one.",
)
@click.option(
    "--pixel-range",
    type=click.Choice(["1", "255"]),
    help="Range of the pixels that --mean and --std are for: 0 to 1, or 0 to 255.",
)
@click.option(
    "--layout",
    type=click.Choice(["nchw", "nhwc"]),
    help="Layout of the input. Unset: detected from its shape.",
)
@click.option(
    "--output-kind",
    type=click.Choice(["logits", "probabilities"]),
    help="Kind of the output. Unset: probabilities if the graph ends with a Softmax.",
)
@click.option("--output-name", help="Name of the output. Unset: the only output.")
@click.option(
    "--channels",
    type=click.Choice(["rgb", "bgr"]),
    default="rgb",
    show_default=True,
    help="Order of the input's channels.",
)
@click.option(
    "--crop",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Side of the centre square that is kept, as a share of the whole square.",
)
@click.option(
    "--resample",
    type=click.Choice(["box", "bilinear", "bicubic", "lanczos"]),
    default="box",
    show_default=True,
    help="Filter that resizes this square.",
)
@click.option(
    "--calibrate", type=FOLDER, help="Folder of labelled photos that fit the temperature."
)
@click.option(
    "--int8", type=FOLDER, help="Folder of labelled photos that calibrate and test an int8 graph."
)
@output_option
@force_option
@name_option
@version_option
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the sampling and the split of labelled photos.",
)
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
    force: bool,
    name: str | None,
    version: int | None,
    seed: int,
) -> None:
    """Make a bundle of MODEL.onnx, an image classifier that was trained elsewhere.

    The service serves it like any other bundle. Options supply what the file does not state.
    """
    if mean is None or std is None or pixel_range is None:
        raise WrongUsage(
            "The file does not state how pixels are normalised. Give --mean, --std and "
            "--pixel-range as in the training, or --mean 0 --std 1 --pixel-range 255 if the "
            "graph normalises them itself."
        )
    if min(std) <= 0:
        raise WrongUsage("--std must be over 0. Give the standard deviations of the training.")
    from app.runtime.evaluation.interval import with_interval

    with train_extra("Importing"):
        from training.errors import GateMissed
        from training.importing import importer
        from training.importing.source import StatedProperties
        from training.importing.wrap import Normalization

    arguments = importer.Arguments(
        model=model,
        labels=labels,
        output=output.resolve(),
        stated=StatedProperties(size, layout, output_kind, output_name),
        normalization=Normalization(mean, std, 1 if pixel_range == "1" else 255, channels),
        crop=crop,
        resample=resample,
        name=checked_name(name, output),
        version=checked_version(version, output),
        seed=seed,
        force=force,
        calibrate=calibrate,
        int8=int8,
    )
    with expected_errors():
        try:
            result = importer.run(arguments, click.echo)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    for precision, figures in result.manifest.metrics.items():
        click.echo(
            f"{precision}: top-1 {with_interval(figures.top1, figures.images)}, "
            f"ECE {figures.ece:.3f} on "
            f"{figures.images} photos"
        )
    click.echo(f"written to {output}")
