"""Measure how often photos are right whose object touches the edge, by how they are read.

    python benchmarks/fit.py --photos cats-dogs [--each 200]

Each photo is pasted at the left or right end of a 3:1 canvas of blurred noise. A model is trained
with each --fit on such photos, and another with cover on the plain ones. The rows are their top-1
on the pasted test photos: "plain" reads the whole, "crop" the box of the photo, as a request's
`crop` selects it. The last lines compare `crop` with files that were cut beforehand, and time each
fit.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
from PIL import Image, ImageFilter
from threadpoolctl import threadpool_limits

from app import vision
from app.bundle import Fit
from app.runtime.classifier import Query, classify
from app.runtime.evaluation.interval import interval
from app.runtime.loaded_model import Model, load_model
from benchmarks.processor import describe
from training import pipeline
from training.data.photos import LIMITS
from training.recipes.registry import make_recipe

HEIGHT = 320
TIMED = 30


@dataclass(frozen=True)
class Pasted:
    """A test photo on its canvas."""

    canvas: bytes
    cut: bytes
    """The part of the canvas that shows the photo, as a lossless file of its own."""
    crop: vision.Crop
    label: str


def paste(photo: Image.Image, seed: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Return a 3:1 canvas with the photo at its left or right end, and the photo's box."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (6, 18, 3), np.uint8))
    size = 3 * HEIGHT, HEIGHT
    canvas = noise.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(8))
    width = min(round(HEIGHT * photo.width / photo.height), round(1.5 * HEIGHT))
    left = 0 if rng.integers(2) else size[0] - width
    canvas.paste(photo.resize((width, HEIGHT), Image.Resampling.BICUBIC), (left, 0))
    return canvas, (left, 0, left + width, HEIGHT)


def make_folders(photos: Path, each: int, folder: Path) -> list[Pasted]:
    """Write folder/pasted and folder/plain, each with train/ and test/; return the test photos."""
    tested = []
    for label in sorted(path.name for path in photos.iterdir() if path.is_dir()):
        files = sorted((photos / label).iterdir())[: 2 * each]
        for number, file in enumerate(files):
            part = "train" if number % 2 else "test"
            with Image.open(file) as opened:
                photo = opened.convert("RGB")
            canvas, box = paste(photo, number)
            for kind, image in (("pasted", canvas), ("plain", photo)):
                target = folder / kind / part / label / f"{file.stem}.jpg"
                target.parent.mkdir(parents=True, exist_ok=True)
                image.save(target, "JPEG", quality=92)
            if part == "test":
                tested.append(_tested(folder / "pasted" / part / label / f"{file.stem}.jpg", box))
    return tested


def _tested(file: Path, box: tuple[int, int, int, int]) -> Pasted:
    cut = BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").crop(box).save(cut, "PNG")
    left, top, right, bottom = box
    crop = vision.Crop.parse(f"{left},{top},{right - left},{bottom - top}")
    return Pasted(file.read_bytes(), cut.getvalue(), crop, file.parent.name)


def train(data: Path, fit: Fit, output: Path) -> Model:
    """Train a model with the recipe `head`, and load its fp32."""
    recipe = make_recipe("head")
    arguments = pipeline.Arguments(data, output, recipe, name=fit, version=1, seed=0, fit=fit)
    pipeline.train(arguments, lambda line: None)
    return load_model(output, "cpu", "fp32")


def row(name: str, tested: list[Pasted], predict: Callable[[Pasted], str]) -> float:
    """Print the share of right labels with its 95 % interval, and return it."""
    share = statistics.mean(predict(photo) == photo.label for photo in tested)
    low, high = interval(share, len(tested))
    print(f"| {name} | {100 * share:.1f} % | {100 * low:.1f} to {100 * high:.1f} |", flush=True)
    return share


def label_by(model: Model, photo: bytes, query: Query) -> str:
    """Return the most probable label of a photo, or of its crop."""
    return classify(photo, model, query, LIMITS).predictions[0].label


def largest_difference(model: Model, tested: list[Pasted]) -> float:
    """Return the largest difference of a probability between a crop and a file that was cut."""
    return max(
        float(
            np.abs(
                classify(photo.canvas, model, Query(crop=photo.crop), LIMITS).probabilities
                - classify(photo.cut, model, Query(), LIMITS).probabilities
            ).max()
        )
        for photo in tested
    )


def milliseconds(models: dict[str, Model], tested: list[Pasted]) -> dict[str, float]:
    """Return the median time of decoding and resizing, by fit, measured in turns on one thread."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for photo in tested[:TIMED]:
        for name, model in models.items():
            began = time.perf_counter()
            picture = vision.decode(photo.canvas, LIMITS, vision.view_of(model.manifest.input))
            vision.resize(picture, model.manifest.input)
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(each) for name, each in times.items()}


def main(argv: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="one folder per class")
    parser.add_argument("--each", type=int, default=200, help="photos of a class, in each part")
    arguments = parser.parse_args(argv)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tested = make_folders(arguments.photos, arguments.each, folder)
        print(
            f"{describe()}\n{len(tested)} test photos\n\n| read as | right | 95 % |\n|---|---|---|"
        )
        models: dict[str, Model] = {}
        for fit in get_args(Fit):
            models[fit] = model = train(folder / "pasted", fit, folder / f"bundle-{fit}")
            row(fit, tested, lambda photo, of=model: label_by(of, photo.canvas, Query()))
        plain = train(folder / "plain", "cover", folder / "bundle-plain")
        row("plain", tested, lambda photo: label_by(plain, photo.canvas, Query()))
        row("crop", tested, lambda photo: label_by(plain, photo.canvas, Query(crop=photo.crop)))
        difference = max(largest_difference(model, tested) for model in (plain, *models.values()))
    print(
        f"\nlargest difference of a probability, crop against a file cut before: {difference:.1e}"
    )
    with threadpool_limits(1):
        times = milliseconds(models, tested)
    print(f"decode and resize: {', '.join(f'{fit} {ms:.2f} ms' for fit, ms in times.items())}")


if __name__ == "__main__":
    main()
