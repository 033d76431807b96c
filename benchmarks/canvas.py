"""Compare filters for the resize to the canvas: accuracy against milliseconds.

    python benchmarks/canvas.py model/imagenet --photos DIR

The bundle's fp32 graph classifies the photos through canvases made with each filter. The row
"none" has no canvas: the photo's centre square is resized to the graph's input in one step. The row
"as served" is app.vision: bicubic to the canvas and on to the input, as one matrix product.

The other rows open photos with Pillow, so their results are wrong for photos with an orientation,
alpha or a colour profile. Times are medians on one thread, of all resizes of a photo. The weights
for its size are cached.
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
TimedPixels = tuple[Pixels, float]
"""The graph's input, and the milliseconds of its resizing."""
FILTERS = ("BOX", "BILINEAR", "BICUBIC", "LANCZOS")


def _resize_by_pillow(
    path: Path, side: int, resample: Image.Resampling, spec: InputSpec
) -> TimedPixels:
    """Resize the photo's centre square to `side` pixels, and on to the graph's input."""
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


def _resize_as_served(path: Path, spec: InputSpec) -> TimedPixels:
    picture = vision.decode(path.read_bytes(), LIMITS)
    return _timed(lambda: vision.resize(picture, spec))


def _timed(resize: Callable[[], Pixels]) -> TimedPixels:
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
    photos = layout.scan_folder(data).files
    truth = layout.class_indices(photos, [label.id or "" for label in imagenet.manifest.labels])

    methods: list[tuple[str, Callable[[Path], TimedPixels]]] = [
        (
            name,
            partial(
                _resize_by_pillow,
                side=vision.CANVAS,
                resample=Image.Resampling[name],
                spec=spec,
            ),
        )
        for name in FILTERS
    ]
    in_one_step = partial(
        _resize_by_pillow, side=spec.size, resample=Image.Resampling.BICUBIC, spec=spec
    )
    methods += [("none", in_one_step), ("as served", partial(_resize_as_served, spec=spec))]
    click.echo("| canvas | top-1 | top-5 | ms |\n|---|---|---|---|")
    for name, method in methods:
        with threadpool_limits(1):
            pixels, times = zip(*(method(photo.path) for photo in photos), strict=True)
        probabilities = probabilities_of(session, np.stack(pixels))
        top_1, top_5 = (100 * top_k_accuracy(probabilities, truth, k) for k in (1, 5))
        click.echo(f"| {name.lower()} | {top_1:.1f} | {top_5:.1f} | {np.median(times):.2f} |")


if __name__ == "__main__":
    main()
