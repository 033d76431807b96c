"""Which backbone, input size, crop and filter: accuracy against milliseconds.

    python benchmarks/preprocessing.py --photos DIR [--coarse DIR]

Every candidate reads the same photos through app.vision, as the service does. One table
row each, in Markdown:

    top-1, top-5    fp32 and int8 on --photos (folders called by synset); int8's ranges are taken
                    from 100 of them, without their labels
    won/lost        photos that int8 gets right and the first row's int8 doesn't, and the other way
                    round: a paired difference, since 250 photos alone tell 2 points from nothing
    coarse          share of --coarse (folders cat and dog) whose top-1 is one of ImageNet's cats or
                    dogs, int8
    ms              medians on one thread: decode, resize, run. The runs of all candidates take
                    turns on each photo, so that a busy machine slows all of them alike

The times are this machine's; compare rows, not machines.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnx
from numpy.typing import NDArray

from app import vision
from app.bundle import InputSpec, Resample
from app.runtime.evaluation.accuracy import top_k_accuracy
from app.runtime.session import Session
from training.data import photo_files
from training.gates import probabilities_of
from training.imagenet import labels
from training.int8.quantize import CALIBRATION_PHOTOS, quantize
from training.networks.pretrained_weights import load_pretrained
from training.onnx_graph.efficientnet_lite import export

Pixels = NDArray[np.uint8]

DOGS = range(151, 269)
CATS = range(281, 286)
"""ImageNet's indices of the domestic breeds."""

COARSE_STEP = 3
"""Every third photo of --coarse is read: enough, in a third of the time."""


def _candidates(sizes: dict[str, Sequence[int]]) -> list[tuple[str, InputSpec]]:
    filters: tuple[Resample, ...] = ("bicubic", "bilinear", "lanczos", "box")
    specs = [("lite0", InputSpec(size=224, crop=0.875, resample=each)) for each in filters]
    reduced: list[tuple[int, float]] = [(240, 1.0), (224, 448 / 480)]
    specs += [("lite0", InputSpec(size=size, crop=crop, resample="box")) for size, crop in reduced]
    specs += [
        (backbone, InputSpec(size=size, crop=crop, resample="bicubic"))
        for backbone, all_sizes in sizes.items()
        for size in all_sizes
        for crop in (0.875, 1.0)
    ]
    return [*specs, ("lite2", InputSpec(size=240, crop=1.0, resample="box"))]


@dataclass(frozen=True, eq=False)
class Row:
    """What was measured of one candidate."""

    backbone: str
    spec: InputSpec
    fp32: Session
    int8: Session
    pixels: Pixels
    wanted: NDArray[np.float32]
    given: NDArray[np.float32]
    coarse: float


@click.command(help=__doc__.split("\n", 1)[0])
@click.option("--photos", "data", type=click.Path(path_type=Path), required=True)
@click.option("--coarse", type=click.Path(path_type=Path))
def main(data: Path, coarse: Path | None) -> None:
    """Measure every candidate and print the table."""
    found = photo_files.find(data)
    truth = photo_files.truths(found, [label.id or "" for label in labels.read(labels.IMAGENET)])
    pictures = [photo.picture() for photo in found]
    pets = photo_files.find(coarse)[::COARSE_STEP] if coarse else []
    pet_pictures = [photo.picture() for photo in pets]
    sizes = {"lite0": (192, 208, 240, 256, 288), "lite2": (240, 260, 288)}
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for backbone, spec in _candidates(sizes):
            pixels = _resized(pictures, spec)
            fp32, int8 = _sessions(Path(folder), backbone, spec, pixels)
            answers = probabilities_of(int8, _resized(pet_pictures, spec)).argmax(1) if pets else []
            right = [each in _indices(pet) for each, pet in zip(answers, pets, strict=True)]
            wanted, given = probabilities_of(fp32, pixels), probabilities_of(int8, pixels)
            share = float(np.mean(right)) if right else float("nan")
            rows.append(Row(backbone, spec, fp32, int8, pixels, wanted, given, share))
        _print(rows, truth, pictures, _decode_ms(found))


def _indices(pet: photo_files.Photo) -> range:
    return DOGS if pet.folder == "dog" else CATS


def _resized(pictures: Sequence[vision.Picture], spec: InputSpec) -> Pixels:
    return np.stack([vision.resize(picture, spec) for picture in pictures])


def _sessions(
    folder: Path, backbone: str, spec: InputSpec, pixels: Pixels
) -> tuple[Session, Session]:
    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    onnx.save(export(load_pretrained(backbone), spec.size), fp32)
    order = np.random.default_rng(0).permutation(len(pixels))
    quantize(fp32, pixels[np.sort(order[:CALIBRATION_PHOTOS])], int8)
    return Session(fp32, "cpu", "fp32"), Session(int8, "cpu", "int8")


def _decode_ms(found: Sequence[photo_files.Photo]) -> float:
    return float(np.median([_ms(photo.picture) for photo in found]))


def _print(
    rows: Sequence[Row],
    truth: NDArray[np.intp],
    pictures: Sequence[vision.Picture],
    decode_ms: float,
) -> None:
    count = min(60, len(pictures))
    times = np.empty((count, len(rows), 3))
    for photo in range(count):
        for which, row in enumerate(rows):
            image = row.pixels[photo : photo + 1]
            times[photo, which] = (
                _ms(vision.resize, pictures[photo], row.spec),
                _ms(row.fp32.run, image),
                _ms(row.int8.run, image),
            )
    medians = np.median(times, axis=0)
    click.echo(f"decode: {decode_ms:.2f} ms (median of {len(truth)} photos)\n")
    click.echo(
        "| backbone | size | crop | filter | fp32 top-1 | top-5 | int8 top-1 | top-5 | won/lost "
        "| coarse | resize ms | fp32 ms | int8 ms |\n" + "|---" * 13 + "|"
    )
    first = rows[0].given.argmax(1) == truth
    for row, (resize, fp32, int8) in zip(rows, medians, strict=True):
        right = row.given.argmax(1) == truth
        click.echo(
            f"| {row.backbone} | {row.spec.size} | {row.spec.crop:.3f} | {row.spec.resample} "
            f"| {100 * top_k_accuracy(row.wanted, truth, 1):.1f} "
            f"| {100 * top_k_accuracy(row.wanted, truth, 5):.1f} "
            f"| {100 * top_k_accuracy(row.given, truth, 1):.1f} "
            f"| {100 * top_k_accuracy(row.given, truth, 5):.1f} "
            f"| +{(right & ~first).sum()} -{(first & ~right).sum()} | {100 * row.coarse:.1f} "
            f"| {resize:.2f} | {fp32:.1f} | {int8:.1f} |"
        )


def _ms(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
