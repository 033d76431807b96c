"""`hubel import`: make a bundle of an ONNX file; options supply what the file does not state."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, cleanup_on_sigterm, expected_errors
from app.cli.installation import train_extra
from app.cli.options import (
    FILE,
    FOLDER,
    FiniteRange,
    checked_name,
    checked_version,
    force_option,
    name_option,
    output_option,
    version_option,
)

if TYPE_CHECKING:
    from app.bundle import Fit, Resample

_CHANNELS = 3
PRESETS = (
    *("torchvision", "keras-tf", "keras-caffe", "timm"),
    *("openclip", "teachable-machine", "custom-vision"),
)
"""Their values are in training.importing.presets."""


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


class _Size(click.ParamType[Any]):
    """A side in pixels, or height and width: 224 or 192x320."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        sides = str(value).lower().split("x")
        if len(sides) not in (1, 2) or not all(side.isascii() and side.isdigit() for side in sides):
            self.fail(f"{value!r} is neither a side such as 224 nor HEIGHTxWIDTH.", param, ctx)
        return int(sides[0]), int(sides[-1])


@click.command(name="import")
@click.argument("model", metavar="MODEL.onnx", type=FILE)
@click.option(
    "--labels",
    type=FILE,
    required=True,
    help="File of labels: one per line, JSON, a Python dictionary, CSV or TSV with a header, the "
    "names in a YAML file, or Hugging Face's config.json. Stated indices decide the order. A model "
    "with one output needs two, or the label for 1 alone.",
)
@click.option(
    "--size",
    type=_Size(),
    metavar="SIDE|HEIGHTxWIDTH",
    help="Side of the input, or its height and width, in pixels. Unset: those in the file.",
)
@click.option(
    "--fit",
    type=click.Choice(["cover", "stretch", "contain"]),
    help="How photos were made to fit the input in training. cover: their centre square. stretch: "
    "all of them, squashed. contain: all of them, with grey around.  [default: cover]",
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="Usual convention of mean, standard deviation, pixel range, channels, crop and filter. "
    "Options below replace its values.",
)
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
    help="Kind of the output. Unset: derived from the graph's end and its values.",
)
@click.option(
    "--task",
    type=click.Choice(["single_label", "multi_label"]),
    help="Whether exactly one label is right for a photo, or any number of them. Unset: "
    "multi_label if the graph ends with a Sigmoid for each of several labels.",
)
@click.option(
    "--output-name",
    help="Name of the output, or of another tensor. Unset: the one with a number per label.",
)
@click.option(
    "--channels",
    type=click.Choice(["rgb", "bgr"]),
    help="Order of the input's channels.  [default: rgb]",
)
@click.option(
    "--crop",
    type=FiniteRange(0, 1, min_open=True),
    help="Side of the centre square that is kept, as a share of the whole square.  [default: 1.0]",
)
@click.option(
    "--resample",
    type=click.Choice(["box", "bilinear", "bicubic", "lanczos"]),
    help="Filter that resizes this square.  [default: box]",
)
@click.option(
    "--calibrate", type=FOLDER, help="Folder of labelled photos that fit the temperature."
)
@click.option(
    "--int8", type=FOLDER, help="Folder of labelled photos that calibrate and test an int8 graph."
)
@click.option(
    "--reference",
    multiple=True,
    metavar="PHOTO=P1,P2,…|FILE",
    help="Probabilities that a script of yours gives for a photo, or a JSON or CSV file of them. "
    "May be repeated.",
)
@click.option(
    "--reference-tolerance",
    type=FiniteRange(0, 1),
    default=0.25,
    show_default=True,
    help="Largest allowed difference of a probability from --reference.",
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
@cleanup_on_sigterm()
def import_(
    *,
    model: Path,
    labels: Path,
    size: tuple[int, int] | None,
    fit: "Fit | None",
    preset: str | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    pixel_range: str | None,
    layout: Any,
    output_kind: Any,
    task: Any,
    output_name: str | None,
    channels: Any,
    crop: float | None,
    resample: "Resample | None",
    calibrate: Path | None,
    int8: Path | None,
    reference: tuple[str, ...],
    reference_tolerance: float,
    output: Path,
    force: bool,
    name: str | None,
    version: int | None,
    seed: int,
) -> None:
    """Make a bundle of MODEL.onnx, an image classifier that was trained elsewhere.

    The service serves it like any other bundle. Options supply what the file does not state.
    """
    if std is not None and min(std) <= 0:
        raise WrongUsage("--std must be over 0. Give the standard deviations of the training.")
    from app.cli.output import figures_text

    with train_extra("Importing"):
        from training.errors import GateMissed
        from training.importing import importer
        from training.importing.presets import StatedPreprocessing
        from training.importing.source import StatedProperties

    arguments = importer.Arguments(
        model=model,
        labels=labels,
        output=output.resolve(),
        properties=StatedProperties(size, layout, output_kind, output_name, task),
        preprocessing=StatedPreprocessing(
            preset=preset,
            mean=mean,
            std=std,
            pixel_range=None if pixel_range is None else 1 if pixel_range == "1" else 255,
            channels=channels,
            crop=crop,
            resample=resample,
            fit=fit,
        ),
        name=checked_name(name, output),
        version=checked_version(version, output),
        seed=seed,
        force=force,
        calibrate=calibrate,
        int8=int8,
        references=reference,
        reference_tolerance=reference_tolerance,
    )
    with expected_errors():
        try:
            result = importer.run(arguments, click.echo)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    for precision, figures in result.manifest.metrics.items():
        click.echo(f"{precision}: {figures_text(figures)} photos")
    click.echo(f"written to {output}")
