"""The default model: published ImageNet weights and labelled photos -> a bundle.

    photos -> decode, resize -> pixels
    weights -> network -> logits -> temperature -> model.onnx       refused on a parity miss
    model.onnx and some photos -> model.int8.onnx                   left out on a missed gate
    golden photos -> the probabilities they must give
    all of it -> figures, card, bundle.json -> renamed into place

`python -m training.imagenet --backbone lite0 --photos DIR --output DIR`. DIR holds a folder per
class, called by its ImageNet synset.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from app import bundle
from app.bundle import MODEL_FILES, Bundle, InputSpec, Manifest, Precision, Training
from app.errors import HubelError
from app.runtime.session import Session
from training import calibration
from training.data import photo_files
from training.errors import GateMissed
from training.gates import Int8Result, check_parity, probabilities_of
from training.imagenet import labels, model_card
from training.packaging import bundle_parts, golden, provenance
from training.packaging.staging import folder_beside


@dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    backbone: str
    photos: Path
    output: Path
    agreement: tuple[Path, ...]
    labels: Path
    golden: Path
    input: InputSpec
    name: str
    version: int
    seed: int

    def metadata(self) -> dict[str, Any]:
        """For bundle.json: folders by their last name, since a path is true on one machine."""
        return {
            "backbone": self.backbone,
            "photos": self.photos.resolve().name,
            "agreement": [folder.resolve().name for folder in self.agreement],
            "labels": self.labels.name,
            "size": self.input.size,
            "crop": self.input.crop,
            "resample": self.input.resample,
            "seed": self.seed,
        }


def build(arguments: Arguments) -> Bundle:
    """Make the bundle and move it to its place, whole.

    Raises:
        DataUnusable: photos, labels or golden photos can't be used.
        GateMissed: the graph doesn't give what PyTorch gives.
    """
    began = time.monotonic()
    names = labels.read(arguments.labels)
    found = photo_files.find(arguments.photos)
    truth = photo_files.truths(found, [label.id or label.name for label in names])
    unlabelled = [photo_files.find(folder) for folder in arguments.agreement]
    golden_photos = golden.find(arguments.golden)
    pixels = photo_files.pixels(found, arguments.input)
    click.echo(f"{len(found)} labelled photos read")

    with folder_beside(arguments.output) as folder:
        fp32, logits, temperatures = _export(folder, arguments, pixels, truth)
        labelled = bundle_parts.Labelled(
            arguments.photos.resolve().name, pixels, truth, temperatures
        )
        others = [photo_files.pixels(each, arguments.input) for each in unlabelled]
        int8, result = bundle_parts.quantized(folder, fp32, labelled, others, arguments.seed)
        _tell(result)

        sessions: dict[Precision, Session] = {"fp32": fp32, **({"int8": int8} if int8 else {})}
        facts = model_card.Facts(
            name=arguments.name,
            backbone=arguments.backbone,
            labels=len(names),
            input=arguments.input,
            metrics={
                which: bundle_parts.measure(each, labelled) for which, each in sessions.items()
            },
            calibration=bundle_parts.calibrated(logits, labelled),
            int8=result,
            golden=bundle_parts.record_golden(
                folder, golden_photos, golden.SOURCES, sessions, names, arguments.input
            ),
        )
        (folder / bundle.MODEL_CARD).write_text(model_card.write(facts), encoding="utf-8")
        manifest = Manifest(
            name=arguments.name,
            version=arguments.version,
            labels=names,
            input=arguments.input,
            files=bundle.record_files(folder, bundle_parts.files_in(folder)),
            golden=facts.golden,
            metrics=facts.metrics,
            calibration=facts.calibration,
            baseline=bundle_parts.baseline(probabilities_of(fp32, pixels)),
            training=Training(
                recipe="pretrained",
                arguments=arguments.metadata(),
                seed=arguments.seed,
                data=photo_files.fingerprint(found),
                versions=provenance.versions("torch"),
                git_commit=provenance.git_commit(),
                seconds=round(time.monotonic() - began, 1),
            ),
        )
        return bundle.save(manifest, folder, arguments.output)


def _export(
    folder: Path, arguments: Arguments, pixels: bundle_parts.Pixels, truth: NDArray[np.intp]
) -> tuple[Session, NDArray[np.float32], calibration.Temperatures]:
    """Write the fp32 graph, and hold it against PyTorch on every photo."""
    from training.networks.inference import predict_logits
    from training.networks.pretrained_weights import load_pretrained
    from training.onnx_graph.efficientnet_lite import export

    network = load_pretrained(arguments.backbone)
    logits = predict_logits(network, pixels)
    temperatures = calibration.cross_fit(logits, truth, arguments.seed)
    click.echo(f"temperature {temperatures.all:.3f}")

    file = folder / MODEL_FILES["fp32"]
    onnx.save(export(network, arguments.input.size, temperatures.all), file)
    fp32 = Session(file, "cpu", "fp32")
    expected = calibration.softmax(logits / temperatures.all)
    difference = check_parity(expected, probabilities_of(fp32, pixels))
    click.echo(f"parity with PyTorch {difference:.1e}")
    return fp32, logits, temperatures


def _tell(result: Int8Result) -> None:
    click.echo(
        f"int8 on {result.images} photos: drop {100 * result.drop:.2f} points, "
        f"agreement {100 * result.agreement:.1f} %, {result.speedup:.2f} times as fast"
    )
    if result.misses:
        click.echo(f"int8 is left out: {'; '.join(result.misses)}")


_HOME = Path(__file__).parents[2]
_FOLDER = click.Path(file_okay=False, path_type=Path)


def _checked_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    try:
        return TypeAdapter[str](bundle.Name).validate_python(name)
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
    help="Tab-separated, with the columns synset and name; ImageNet's by default.",
)
@click.option(
    "--golden",
    "golden_folder",
    type=_FOLDER,
    default=_HOME / "model" / "imagenet" / "golden",
    help="The golden photos; those of model/imagenet by default.",
)
@click.option("--name", default="imagenet", show_default=True, callback=_checked_name)
@click.option("--version", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Chooses the calibration folds, and the photos that give int8 its ranges.",
)
def main(
    *,
    backbone: str,
    photos: Path,
    output: Path,
    agreement: tuple[Path, ...],
    size: int,
    crop: float,
    resample: bundle.Resample,
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
        agreement=agreement,
        labels=table,
        golden=golden_folder,
        input=InputSpec(size=size, crop=crop, resample=resample),
        name=name,
        version=version,
        seed=seed,
    )
    try:
        made = build(arguments)
    except GateMissed as err:
        click.echo(f"Error: {err}", err=True)
        sys.exit(1)
    except HubelError as err:
        click.echo(f"Error: {err}", err=True)
        sys.exit(2)
    figures = made.manifest.metrics
    for which, each in figures.items():
        click.echo(f"{which}: top-1 {100 * each.top1:.1f} %, top-5 {100 * each.top5:.1f} %")
    click.echo(f"written to {made.folder}")
