"""Compare backbones, input sizes, crops and filters: accuracy against milliseconds.

    python benchmarks/preprocessing.py --photos DIR [--coarse DIR]

Every candidate reads the same photos through app.vision, as the service does. The output is a
table in Markdown, with a row for each candidate and these columns:

    top-1, top-5    accuracy of fp32 and int8 on --photos (folders named by synset); 100 of them,
                    without their labels, are the calibration set of int8
    won/lost        photos that int8 classifies correctly and the first row's int8 doesn't, and the
                    reverse. The difference is paired, since unpaired accuracies on 250 photos vary
                    by more than 2 points
    coarse          share of --coarse (folders cat and dog) whose int8 top-1 is one of ImageNet's
                    cats or dogs
    ms              medians on one thread: decode, resize, run. All candidates run in turn on each
                    photo, so that a busy machine slows all of them alike

The times depend on the machine; compare rows, not machines.
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
from training.data import layout
from training.data.layout import File
from training.data.photos import LIMITS
from training.gates import probabilities_of
from training.imagenet import labels
from training.int8.quantize import CALIBRATION_PHOTOS, quantize
from training.networks.efficientnet_lite import load_pretrained
from training.onnx_graph.efficientnet_lite import export

Pixels = NDArray[np.uint8]

DOGS = range(151, 269)
CATS = range(281, 286)
"""Indices of the domestic breeds in ImageNet."""

COARSE_STEP = 3
"""Every third photo of --coarse is read, which is enough and saves time."""


def _candidates(sizes: dict[str, Sequence[int]]) -> list[tuple[str, InputSpec]]:
    filters: tuple[Resample, ...] = ("bicubic", "bilinear", "lanczos", "box")
    specs = [("lite0", InputSpec(size=224, crop=0.875, resample=each)) for each in filters]
    box_sizes: list[tuple[int, float]] = [(240, 1.0), (224, 448 / 480)]
    specs += [
        ("lite0", InputSpec(size=size, crop=crop, resample="box")) for size, crop in box_sizes
    ]
    specs += [
        (backbone, InputSpec(size=size, crop=crop, resample="bicubic"))
        for backbone, all_sizes in sizes.items()
        for size in all_sizes
        for crop in (0.875, 1.0)
    ]
    return [*specs, ("lite2", InputSpec(size=240, crop=1.0, resample="box"))]


@dataclass(frozen=True, eq=False)
class Row:
    """The measurements of one candidate."""

    backbone: str
    spec: InputSpec
    fp32: Session
    int8: Session
    pixels: Pixels
    fp32_probabilities: NDArray[np.float32]
    int8_probabilities: NDArray[np.float32]
    coarse_accuracy: float


@click.command(help=__doc__.split("\n", 1)[0])
@click.option("--photos", "data", type=click.Path(path_type=Path), required=True)
@click.option("--coarse", type=click.Path(path_type=Path))
def main(data: Path, coarse: Path | None) -> None:
    """Measure every candidate and print the table."""
    photos = layout.scan_folder(data).files
    truth = layout.class_indices(photos, [label.id or "" for label in labels.read(labels.IMAGENET)])
    pictures = [_decoded(photo) for photo in photos]
    pets = layout.scan_folder(coarse).files[::COARSE_STEP] if coarse else []
    pet_pictures = [_decoded(photo) for photo in pets]
    sizes = {"lite0": (192, 208, 240, 256, 288), "lite2": (240, 260, 288)}
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for backbone, spec in _candidates(sizes):
            pixels = _resized(pictures, spec)
            fp32, int8 = _sessions(Path(folder), backbone, spec, pixels)
            accuracy = (
                _coarse_accuracy(int8, pets, _resized(pet_pictures, spec)) if pets else np.nan
            )
            fp32_probabilities = probabilities_of(fp32, pixels)
            int8_probabilities = probabilities_of(int8, pixels)
            row = Row(
                backbone, spec, fp32, int8, pixels, fp32_probabilities, int8_probabilities, accuracy
            )
            rows.append(row)
        _print_table(rows, truth, pictures, _decode_ms(photos))


def _coarse_accuracy(session: Session, pets: Sequence[File], pixels: Pixels) -> float:
    predictions = probabilities_of(session, pixels).argmax(1)
    return float(
        np.mean(
            [
                prediction in (DOGS if pet.label == "dog" else CATS)
                for prediction, pet in zip(predictions, pets, strict=True)
            ]
        )
    )


def _decoded(photo: File) -> vision.Picture:
    return vision.decode(photo.path.read_bytes(), LIMITS)


def _resized(pictures: Sequence[vision.Picture], spec: InputSpec) -> Pixels:
    return np.stack([vision.resize(picture, spec) for picture in pictures])


def _sessions(
    folder: Path, backbone: str, spec: InputSpec, pixels: Pixels
) -> tuple[Session, Session]:
    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    onnx.save(export(load_pretrained(backbone).weights(), spec.size), fp32)
    order = np.random.default_rng(0).permutation(len(pixels))
    quantize(fp32, pixels[np.sort(order[:CALIBRATION_PHOTOS])], int8)
    return Session(fp32, "cpu", "fp32"), Session(int8, "cpu", "int8")


def _decode_ms(photos: Sequence[File]) -> float:
    return float(np.median([_ms(_decoded, photo) for photo in photos]))


def _print_table(
    rows: Sequence[Row],
    truth: NDArray[np.intp],
    pictures: Sequence[vision.Picture],
    decode_ms: float,
) -> None:
    count = min(60, len(pictures))
    times = np.empty((count, len(rows), 3))
    for photo in range(count):
        for index, row in enumerate(rows):
            image = row.pixels[photo : photo + 1]
            times[photo, index] = (
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
    first_correct = rows[0].int8_probabilities.argmax(1) == truth
    for row, (resize, fp32, int8) in zip(rows, medians, strict=True):
        correct = row.int8_probabilities.argmax(1) == truth
        click.echo(
            f"| {row.backbone} | {row.spec.size} | {row.spec.crop:.3f} | {row.spec.resample} "
            f"| {100 * top_k_accuracy(row.fp32_probabilities, truth, 1):.1f} "
            f"| {100 * top_k_accuracy(row.fp32_probabilities, truth, 5):.1f} "
            f"| {100 * top_k_accuracy(row.int8_probabilities, truth, 1):.1f} "
            f"| {100 * top_k_accuracy(row.int8_probabilities, truth, 5):.1f} "
            f"| +{(correct & ~first_correct).sum()} -{(first_correct & ~correct).sum()} "
            f"| {100 * row.coarse_accuracy:.1f} "
            f"| {resize:.2f} | {fp32:.1f} | {int8:.1f} |"
        )


def _ms(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
