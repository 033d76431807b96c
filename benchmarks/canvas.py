"""Which filter brings a photo to the canvas: accuracy against milliseconds.

    python benchmarks/canvas.py MODELS/imagenet --photos DIR

The bundle's fp32 graph reads the photos through canvases made with each filter; then without a
canvas, the photo's centre square brought to the graph's input at once; and, in the last row, as
app.vision does it: bicubic to the canvas and on, by one product of matrices. For the others
photos are opened with Pillow, so those that need more than a conversion to RGB aren't right
there. Times are medians on one thread, of all resizing, of a photo whose size was seen before.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from app import bundle, vision
from app.bundle import InputSpec
from app.runtime.evaluation.accuracy import top_k_accuracy
from app.runtime.session import Session
from training.data import layout
from training.data.photos import LIMITS
from training.gates import probabilities_of

Pixels = NDArray[np.uint8]
Timed = tuple[Pixels, float]
"""What the graph reads, and the milliseconds of its resizing."""
FILTERS = ("BOX", "BILINEAR", "BICUBIC", "LANCZOS")


def _through(path: Path, side: int, resample: Image.Resampling, spec: InputSpec) -> Timed:
    """The photo's centre square at `side` pixels, and on to the graph's input."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    shorter = min(width, height)
    left, top = (width - shorter) / 2, (height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)

    def resize() -> Pixels:
        square = image.resize((side, side), resample, box)
        return np.asarray(square) if side == spec.size else vision.resize(square, spec)

    return _timed(resize)


def _served(path: Path, spec: InputSpec) -> Timed:
    picture = vision.decode(path.read_bytes(), LIMITS)
    return _timed(lambda: vision.resize(picture, spec))


def _timed(resize: Callable[[], Pixels]) -> Timed:
    resize()
    began = time.perf_counter()
    pixels = resize()
    return pixels, (time.perf_counter() - began) * 1000


@click.command(help=__doc__.split("\n", 1)[0])
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--photos", "data", type=click.Path(path_type=Path), required=True)
def main(folder: Path, data: Path) -> None:
    """Measure each filter and print the table."""
    imagenet = bundle.load(folder)
    spec = imagenet.manifest.input
    session = Session(imagenet.model_path("fp32"), "cpu", "fp32")
    found = layout.scan_folder(data).files
    truth = layout.class_indices(found, [label.id or "" for label in imagenet.manifest.labels])

    ways: list[tuple[str, Callable[[Path], Timed]]] = [
        (name, partial(_through, side=vision.CANVAS, resample=Image.Resampling[name], spec=spec))
        for name in FILTERS
    ]
    at_once = partial(_through, side=spec.size, resample=Image.Resampling.BICUBIC, spec=spec)
    ways += [("none", at_once), ("as served", partial(_served, spec=spec))]
    click.echo("| canvas | top-1 | top-5 | ms |\n|---|---|---|---|")
    for name, way in ways:
        with threadpool_limits(1):
            pixels, times = zip(*(way(photo.path) for photo in found), strict=True)
        given = probabilities_of(session, np.stack(pixels))
        shares = [100 * top_k_accuracy(given, truth, k) for k in (1, 5)]
        click.echo(
            f"| {name.lower()} | {shares[0]:.1f} | {shares[1]:.1f} | {np.median(times):.2f} |"
        )


if __name__ == "__main__":
    main()
