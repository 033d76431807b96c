"""Measure `hubel train` on composites of photos that show none, one or two labels.

    python benchmarks/several_labels.py --pets DIR --others DIR [--train N] [--test N] [--keep DIR]

--pets has a folder `cat` and a folder `dog`, --others folders named by ImageNet synset; those of
dogs, wolves and cats are left out. A composite has two square photos side by side on mid-grey:

    none      two others
    one       a cat or a dog, and another
    two       a cat and a dog

A quarter of the composites shows none, a quarter cats alone, a quarter dogs alone, a quarter both.
No photo is in composites of both parts. The photos of train are in 20 pools and a composite draws
from one. Its pool is in the column `group` of labels.csv, so that the folds of training share no
photo either: if they did, the ECE would be too high (`label_folds`). --pools 0 draws from all
photos, without groups. Printed: mean average precision, F1, ECE and its parts by label, as the
bundle serves, on the composites of test.
"""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from app import vision
from app.bundle import MultiLabelMetrics
from app.runtime.evaluation import label_figures
from app.runtime.session import Session
from training import pipeline
from training.data.photos import LIMITS, read_pixels
from training.imagenet import labels
from training.recipes import registry

CATS_AND_DOGS = (*range(151, 276), *range(281, 286))
"""ImageNet's indices of dogs, wolves and wild dogs, and of domestic cats."""
_HALF, _SIDE, _GREY = 240, 480, 127
POOLS = 20
KINDS = ((), ("cat",), ("dog",), ("cat", "dog"))


def sources(pets: Path, others: Path) -> dict[str, list[Path]]:
    """Return the photos of cats, of dogs, and of anything else."""
    ids = [label.id for label in labels.read(labels.IMAGENET)]
    left_out = {ids[index] for index in CATS_AND_DOGS}
    return {
        "cat": sorted((pets / "cat").iterdir()),
        "dog": sorted((pets / "dog").iterdir()),
        "other": sorted(p for p in others.glob("*/*") if p.parent.name not in left_out),
    }


def composite(photos: Sequence[Path], rng: np.random.Generator) -> Image.Image:
    """Return two photos side by side, in random order and at random heights."""
    image = Image.new("RGB", (_SIDE, _SIDE), (_GREY,) * 3)
    for place, photo in enumerate(rng.permutation(np.array(photos, object)).tolist()):
        canvas = vision.decode(photo.read_bytes(), LIMITS).canvas
        half = Image.fromarray(canvas).resize((_HALF, _HALF), Image.Resampling.LANCZOS)
        image.paste(half, (place * _HALF, int(rng.integers(0, _SIDE - _HALF + 1))))
    return image


def make_part(
    folder: Path, pools: Sequence[dict[str, list[Path]]], count: int, rng: np.random.Generator
) -> None:
    """Write `count` composites and their labels.csv into a new folder; each draws from one pool."""
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "labels", "group"])
        for number in range(count):
            names = KINDS[number % len(KINDS)]
            pool = number // len(KINDS) % len(pools)
            kinds = (*names, "other", "other")[:2]
            photos = [of[rng.integers(len(of))] for of in (pools[pool][kind] for kind in kinds)]
            name = f"{number:05}.jpg"
            composite(photos, rng).save(folder / name, quality=92)
            group = f"pool {pool}" if len(pools) > 1 else ""
            table.writerow([name, ";".join(names), group])


def divide(photos_of: dict[str, list[Path]], pools: int) -> Iterator[dict[str, list[Path]]]:
    """Yield the photos of each pool; a photo is in one."""
    for pool in range(pools):
        yield {kind: found[pool::pools] for kind, found in photos_of.items()}


def make_data(
    pets: Path, others: Path, folder: Path, train: int, test: int, seed: int = 0, pools: int = POOLS
) -> None:
    """Write composites into train/ and test/, of which no photo is in both."""
    rng = np.random.default_rng(seed)
    parts: tuple[dict[str, list[Path]], dict[str, list[Path]]] = ({}, {})
    for kind, found in sources(pets, others).items():
        order = rng.permutation(len(found))
        share = round(len(found) * train / (train + test))
        for part, places in zip(parts, (order[:share], order[share:]), strict=True):
            part[kind] = [found[place] for place in places.tolist()]
    make_part(folder / "train", list(divide(parts[0], max(1, pools))), train, rng)
    make_part(folder / "test", [parts[1]], test, rng)


def measure(data: Path, output: Path) -> list[str]:
    """Train on `data`; return the figures as lines of Markdown."""
    arguments = pipeline.Arguments(
        data, output, registry.make_recipe("head"), "composites", 1, 0, min_photos=3
    )
    bundle = pipeline.train(arguments, click.echo).bundle
    manifest = bundle.manifest
    rows = list(csv.DictReader((data / "test" / "labels.csv").open(encoding="utf-8")))
    names = [label.name for label in manifest.labels]
    truth = np.array([[name in row["labels"].split(";") for name in names] for row in rows])
    pixels = read_pixels([data / "test" / row["file"] for row in rows], manifest.input)
    session = Session(bundle.model_path("fp32"), "cpu", "fp32")
    probabilities = np.concatenate([session.run(image[np.newaxis]) for image in pixels])
    accepted = probabilities >= np.array(manifest.thresholds, np.float32)
    lines = ["| label | photos | average precision | F1 | ECE |", "|---|---|---|---|---|"]
    lines += [
        f"| {names[figures.index]} | {figures.images} | {figures.average_precision:.4f} | "
        f"{figures.f1:.4f} | {figures.ece:.4f} |"
        for figures in label_figures.per_label(probabilities, accepted, truth)
    ]
    metrics = manifest.metrics["fp32"]
    assert isinstance(metrics, MultiLabelMetrics)
    return [
        f"{len(truth)} composites of test: mean average precision "
        f"{metrics.mean_average_precision:.4f}, F1 {metrics.f1_micro:.4f} (micro) and "
        f"{metrics.f1_macro:.4f} (macro), exactly right {100 * metrics.exact:.1f} %, mean ECE "
        f"{metrics.ece:.4f}; {manifest.training.seconds:.0f} s",
        *lines,
    ]


@click.command()
@click.option("--pets", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--others", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--train", type=int, default=1600, show_default=True)
@click.option("--test", type=int, default=1200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--pools", type=int, default=POOLS, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the data and the bundle.")
def main(
    pets: Path, others: Path, train: int, test: int, seed: int, pools: int, keep: Path | None
) -> None:
    """Make composites, train on them, and print the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        data = folder / "data"
        if not data.exists():
            make_data(pets, others, data, train, test, seed, pools)
        click.echo("\n".join(measure(data, folder / "bundle")))


if __name__ == "__main__":
    main()
