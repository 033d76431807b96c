"""Which filter brings a photo to the canvas: accuracy against milliseconds.

    python benchmarks/canvas.py MODELS/imagenet --photos DIR

The bundle's fp32 graph reads the photos through canvases made with each filter, and, in the last
row, without a canvas: the photo's centre square brought to the graph's input at once. Photos are
opened with Pillow, since app.vision has one filter only; so photos that need more than a
conversion to RGB aren't right here. Times are medians on one thread, of the resize alone.
"""

import time
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import bundle, vision
from app.runtime.metrics import top_k_accuracy
from app.runtime.session import Session
from training import photos
from training.gates import probabilities_of

Pixels = NDArray[np.uint8]
FILTERS = ("BOX", "BILINEAR", "BICUBIC", "LANCZOS")


def _square(path: Path, side: int, resample: Image.Resampling) -> tuple[Pixels, float]:
    """The photo's centre square at `side` pixels, and the milliseconds of that resize."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    shorter = min(width, height)
    left, top = (width - shorter) / 2, (height - shorter) / 2
    began = time.perf_counter()
    resized = image.resize((side, side), resample, (left, top, left + shorter, top + shorter))
    return np.asarray(resized), (time.perf_counter() - began) * 1000


@click.command(help=__doc__.split("\n", 1)[0])
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--photos", "data", type=click.Path(path_type=Path), required=True)
def main(folder: Path, data: Path) -> None:
    """Measure each filter and print the table."""
    imagenet = bundle.load(folder)
    spec = imagenet.manifest.input
    session = Session(imagenet.model_path("fp32"), "cpu", "fp32")
    found = photos.find(data)
    truth = photos.truths(found, [label.id or "" for label in imagenet.manifest.labels])

    click.echo("| canvas | top-1 | top-5 | ms |\n|---|---|---|---|")
    rows = [(name, vision.CANVAS, Image.Resampling[name]) for name in FILTERS]
    for name, side, resample in [*rows, ("none", spec.size, Image.Resampling.BICUBIC)]:
        squares, times = zip(*(_square(photo.path, side, resample) for photo in found), strict=True)
        if side == vision.CANVAS:
            squares = tuple(vision.resize(square, spec) for square in squares)
        given = probabilities_of(session, np.stack(squares))
        shares = [100 * top_k_accuracy(given, truth, k) for k in (1, 5)]
        click.echo(
            f"| {name.lower()} | {shares[0]:.1f} | {shares[1]:.1f} | {np.median(times):.2f} |"
        )


if __name__ == "__main__":
    main()
