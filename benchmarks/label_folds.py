"""Compare folds that share photos with folds that share none, for the calibration of labels.

    python -m benchmarks.label_folds --pets DIR --others DIR [--train N] [--test N] [--cache FILE]

Composites as in `several_labels`, whose photos are in train or in test. Two sets of train:

    reused   each composite draws from all photos of train
    pools    the photos are in five pools, and a composite draws from one pool

Random folds share photos in both sets, since a photo is in several composites. Folds by pool share
none. Heads, C and calibration are those of `hubel train`, from the default bundle's embeddings. All
are measured on the same composites of test.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from app import bundle, vision
from app.runtime.evaluation import label_figures
from app.runtime.session import Session
from benchmarks.several_labels import KINDS, composite, sources
from training import label_calibration, label_layer
from training.data.photos import LIMITS
from training.data.split import FOLDS, split_by_groups
from training.parallel import map_in_order
from training.recipes.backbone import DEFAULT_BUNDLE

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Integers = NDArray[np.intp]
Photos = dict[str, list[Path]]
Drawn = list[tuple[list[Path], int]]
"""The photos of each composite, and the seed of their places."""


def draw(photos: Photos, count: int, rng: np.random.Generator) -> tuple[Drawn, list[list[bool]]]:
    """Draw the photos of `count` composites; return them and whether each shows a cat, a dog."""
    drawn: Drawn = []
    truth = []
    for number in range(count):
        names = KINDS[number % len(KINDS)]
        kinds = (*names, "other", "other")[:2]
        chosen = [photos[kind][rng.integers(len(photos[kind]))] for kind in kinds]
        drawn.append((chosen, int(rng.integers(1 << 30))))
        truth.append(["cat" in names, "dog" in names])
    return drawn, truth


def draw_all(photos: Photos, train: int, test: int) -> dict[str, tuple[Drawn, list[list[bool]]]]:
    """Draw the composites of test and of both sets of train."""
    rng = np.random.default_rng(0)
    inside: Photos = {}
    outside: Photos = {}
    for kind, found in photos.items():
        order = rng.permutation(len(found)).tolist()
        share = round(len(found) * train / (train + test))
        inside[kind] = [found[place] for place in order[:share]]
        outside[kind] = [found[place] for place in order[share:]]
    sets = {"test": draw(outside, test, rng), "reused": draw(inside, train, rng)}
    drawn: Drawn = []
    truth: list[list[bool]] = []
    for pool in range(FOLDS):
        part = {kind: found[pool::FOLDS] for kind, found in inside.items()}
        more, labels = draw(part, train // FOLDS, rng)
        drawn += more
        truth += labels
    return {**sets, "pools": (drawn, truth)}


def embed(drawn: Drawn, label: str) -> Floats:
    """Return the embeddings (N, D) of composites, saved as JPEG and read again."""
    backbone = bundle.load(DEFAULT_BUNDLE)
    session = Session(backbone.model_path("fp32"), "cpu", "fp32")

    def embedding(photos_and_seed: tuple[Sequence[Path], int]) -> Floats:
        photos, seed = photos_and_seed
        file = BytesIO()
        composite(photos, np.random.default_rng(seed)).save(file, "JPEG", quality=92)
        picture = vision.decode(file.getvalue(), LIMITS)
        pixels = vision.resize(picture, backbone.manifest.input)
        return session.outputs_of(["embedding"], pixels[np.newaxis])[0][0]

    return np.stack(list(map_in_order(embedding, drawn, label)))


def row(name: str, train: tuple[Floats, Mask], folds: Integers, test: tuple[Floats, Mask]) -> str:
    """Return the figures of one way to make the folds as cells of the table."""
    inputs, truth = train
    validated = label_layer.cross_validate(inputs, truth, folds)
    calibration = label_calibration.fit(validated.logits, truth)
    head = label_layer.fit(inputs, truth, validated.c)
    cells = []
    for logits, known in ((validated.logits, truth), (head.logits(test[0]), test[1])):
        probabilities = calibration.probabilities(logits)
        labels = label_figures.per_label(probabilities, known, known)
        precisions = [label.average_precision or 0.0 for label in labels]
        cells.append((float(np.mean(precisions)), [label.ece for label in labels]))
    (out_of_fold, _), (on_test, errors) = cells
    eces = ", ".join(f"{error:.3f}" for error in errors)
    return f"| {name} | {validated.c:g} | {out_of_fold:.4f} | {on_test:.4f} | {eces} |"


@click.command()
@click.option("--pets", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--others", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--train", default=1600, show_default=True)
@click.option("--test", default=1200, show_default=True)
@click.option("--cache", type=click.Path(dir_okay=False, path_type=Path), help="File (.npz).")
def main(pets: Path, others: Path, train: int, test: int, cache: Path | None) -> None:
    """Print the table."""
    if cache is not None and cache.exists():
        arrays = dict(np.load(cache))
    else:
        arrays = {}
        for name, (drawn, truth) in draw_all(sources(pets, others), train, test).items():
            arrays[name], arrays[f"{name}_t"] = embed(drawn, name), np.array(truth)
        if cache is not None:
            np.savez(cache, **arrays)
    sets = {name: (arrays[name], arrays[f"{name}_t"]) for name in ("test", "reused", "pools")}
    print("| train, folds | C | mAP out of fold | mAP of test | ECE of cat, dog |")
    print("|---|---|---|---|---|")
    for name in ("reused", "pools"):
        truth = sets[name][1]
        strata = (truth @ np.array([1, 2])).astype(np.intp)
        folds = split_by_groups(strata, np.arange(len(truth)), [1.0] * FOLDS, 0)
        print(row(f"{name}, random folds", sets[name], folds, sets["test"]))
    folds = np.repeat(np.arange(FOLDS), len(sets["pools"][0]) // FOLDS)
    print(row("pools, folds by pool", sets["pools"], folds, sets["test"]))


if __name__ == "__main__":
    main()
