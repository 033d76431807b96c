"""Build the default model's bundle: the command `python -m training.imagenet`.

`python -m training.imagenet --backbone lite0 --photos DIR --output DIR`, where the photos lie in a
folder per class, named by its ImageNet synset.
"""

import sys
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from app.bundle import InputSpec, Name, Resample
from app.errors import HubelError
from training.errors import GateMissed
from training.imagenet import labels
from training.imagenet.build import Arguments, build
from training.packaging import default_golden

_FOLDER = click.Path(file_okay=False, path_type=Path)


def _checked_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    try:
        return TypeAdapter[str](Name).validate_python(name)
    except ValidationError as err:
        raise click.BadParameter("use lower-case letters, digits, '.', '_' and '-'.") from err


@click.command()
@click.option("--backbone", type=click.Choice(["lite0", "lite2"]), required=True)
@click.option("--photos", type=_FOLDER, required=True, help="A folder per ImageNet synset.")
@click.option("--output", type=_FOLDER, required=True, help="The bundle; replaced if it exists.")
@click.option(
    "--agreement",
    type=_FOLDER,
    multiple=True,
    help="More photos, in folders of any name, on which int8 is compared with fp32; repeatable.",
)
@click.option(
    "--size",
    type=click.IntRange(8, 480),
    default=240,
    show_default=True,
    help="Side of the network's input, in pixels.",
)
@click.option(
    "--crop",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Side of the centre square that is kept, as a share of the canvas.",
)
@click.option(
    "--resample",
    type=click.Choice(["box", "bilinear", "bicubic", "lanczos"]),
    default="box",
    show_default=True,
    help="Filter of the resize from that square to the input.",
)
@click.option(
    "--labels",
    "table",
    type=click.Path(dir_okay=False, path_type=Path),
    default=labels.IMAGENET,
    help="Tab-separated table with the columns synset and name. Default: ImageNet's labels.",
)
@click.option(
    "--golden",
    "golden_folder",
    type=_FOLDER,
    default=default_golden.FOLDER,
    help="The golden photos. Default: those of model/imagenet.",
)
@click.option("--name", default="imagenet", show_default=True, callback=_checked_name)
@click.option("--version", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the calibration folds and of the photos that calibrate int8.",
)
def main(
    *,
    backbone: str,
    photos: Path,
    output: Path,
    agreement: tuple[Path, ...],
    size: int,
    crop: float,
    resample: Resample,
    table: Path,
    golden_folder: Path,
    name: str,
    version: int,
    seed: int,
) -> None:
    """Make a bundle from published ImageNet weights."""
    arguments = Arguments(
        backbone=backbone,
        photos=photos,
        output=output,
        unlabelled=agreement,
        labels=table,
        golden=golden_folder,
        input=InputSpec(size=size, crop=crop, resample=resample),
        name=name,
        version=version,
        seed=seed,
    )
    try:
        bundle = build(arguments, click.echo)
    except GateMissed as err:
        click.echo(f"Error: {err}", err=True)
        sys.exit(1)
    except HubelError as err:
        click.echo(f"Error: {err}", err=True)
        sys.exit(2)
    for which, figures in bundle.manifest.single_label_metrics.items():
        click.echo(f"{which}: top-1 {100 * figures.top1:.1f} %, top-5 {100 * figures.top5:.1f} %")
    click.echo(f"written to {bundle.folder}")


if __name__ == "__main__":
    main(prog_name="python -m training.imagenet")
