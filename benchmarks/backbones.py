"""Compare the backbones of the recipe `head`, each without and with mirrored photos.

    python -m benchmarks.backbones --cats-dogs DIR --cifar10 DIR [--backbone NAME …] [--photos N]

--cifar10 is a folder per class of CIFAR-10's test photos as files, of which two subsets are taken:
the first N photos (by name) of each of the six animals, and of each of the four vehicles.

For each data folder, five outer folds: a head is trained on four fifths of the photos as by `hubel
train` (C by cross-validation inside them) and predicts the other fifth. So each photo is predicted
once, by a head that did not see it or a near duplicate. The gain is the difference of accuracy to
the first backbone without mirrored photos, on the same photos, and its standard error is that of
the mean of the paired differences. `selected` is what `--quality best` chooses: the way with the
lower loss inside each four fifths.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Session
from training.data import duplicates, examine, layout
from training.data.layout import File
from training.data.photos import read_photos
from training.data.split import FOLDS, split_by_groups
from training.last_layer import cross_validate, fit_head
from training.parallel import run_graph
from training.recipes.backbone import Backbone, find_backbone

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
VEHICLES = ("airplane", "automobile", "ship", "truck")

Floats = NDArray[np.float32]
Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Embedded:
    """The photos of a data folder that training would use, as a backbone sees them."""

    plain: Floats
    mirrored: Floats
    truth: Integers
    groups: Integers


def embed(files: Sequence[File], backbone: Backbone) -> Embedded:
    """Read the photos as the backbone's input, and embed them and their mirror images."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos, _, (pixels,) = read_photos(files, [backbone.input], folder)
        doubles = duplicates.find(photos, pixels)
        used = examine.used(photos, doubles)
        rows = [photos[index].row for index in used]
        session = Session(backbone.graphs(folder)["fp32"], "cpu", "fp32")
        plain, mirrored = (
            run_graph(session, ["embedding"], pixels, rows, "embedding", mirrored=is_mirrored)[0]
            for is_mirrored in (False, True)
        )
    labels = [photos[index].file.label for index in used]
    _, truth = np.unique(labels, return_inverse=True)
    return Embedded(plain, mirrored, truth, doubles.group_of[used])


def predict(data: Embedded) -> dict[str, NDArray[np.bool_]]:
    """Return by way of training whether each photo (N,) is predicted right."""
    truth, groups = data.truth, data.groups
    right = {way: np.empty(len(truth), bool) for way in ("plain", "mirrored", "selected")}
    outer = split_by_groups(truth, groups, [1.0] * FOLDS, 0)
    for fold in range(FOLDS):
        inside = outer == fold
        inputs, known = data.plain[~inside], truth[~inside]
        inner = split_by_groups(known, groups[~inside], [1.0] * FOLDS, 1)
        losses = {}
        for way, changed in (("plain", None), ("mirrored", data.mirrored[~inside])):
            validated = cross_validate(inputs, known, inner, changed)
            losses[way] = validated.losses[validated.c]
            head = fit_head(inputs, known, validated.c, changed)
            right[way][inside] = head.logits(data.plain[inside]).argmax(axis=1) == truth[inside]
        right["selected"][inside] = right[min(losses, key=losses.__getitem__)][inside]
    return right


def print_table(name: str, files: Sequence[File], backbones: Sequence[Backbone]) -> None:
    """Print the accuracy and the gain of each backbone, in Markdown."""
    print(f"\n{name}: {len(files)} files\n")
    print("| backbone | photos | accuracy, % | gain, points | standard error |")
    print("|---|---|---|---|---|")
    reference = None
    for backbone in backbones:
        for way, right in predict(embed(files, backbone)).items():
            reference = right if reference is None else reference
            gain = right.astype(float) - reference
            error = gain.std() / len(gain) ** 0.5
            print(
                f"| {backbone.name} | {way} | {100 * right.mean():.2f} | {100 * gain.mean():+.2f} "
                f"| {100 * error:.2f} |",
                flush=True,
            )


def _subset(folder: Path, classes: Sequence[str], photos: int) -> list[File]:
    files = sorted(layout.scan_folder(folder).files, key=lambda file: file.name)
    return [
        file
        for label in classes
        for file in [each for each in files if each.label == label][:photos]
    ]


@click.command()
@click.option("--cats-dogs", type=click.Path(exists=True, path_type=Path))
@click.option("--cifar10", type=click.Path(exists=True, path_type=Path))
@click.option("--backbone", "names", multiple=True, default=("lite0", "lite2"), show_default=True)
@click.option("--photos", default=200, show_default=True, help="Photos of each class of CIFAR-10.")
def main(cats_dogs: Path | None, cifar10: Path | None, names: tuple[str, ...], photos: int) -> None:
    """Print a table for each data folder."""
    backbones = [find_backbone(name) for name in names]
    if cats_dogs is not None:
        print_table("cats-dogs", layout.scan_folder(cats_dogs).files, backbones)
    if cifar10 is not None:
        for name, classes in (("animals", ANIMALS), ("vehicles", VEHICLES)):
            print_table(f"CIFAR-10, {name}", _subset(cifar10, classes, photos), backbones)


if __name__ == "__main__":
    main()
