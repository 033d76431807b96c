"""Measure how often the promised precision of accepted predictions is kept.

    python benchmarks/promise.py DATA [--classes cat,dog,…] [--splits 200] [--photos 1000]
                                      [--precisions 0.9,0.95]

DATA is a folder as `hubel train` reads it; a given split is ignored. The table, in Markdown, for
each promise and each way to choose the threshold:

    train       per split, a head is trained on --photos of the photos as by `hubel train` (recipe
                head), the threshold is chosen on its out-of-fold predictions, and the accepted
                predictions are counted on all other photos
    calibrate   the head of the first split; per split, the threshold is chosen on --photos of the
                photos that the head did not see, and measured on the others, as by
                `hubel calibrate`

A split in which no threshold keeps the promise counts as kept, since the command then promises
nothing; the table has the number of these. The precision is that of all splits together.
`unknown` plays no part: every photo is of one of the classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from app import bundle, vision
from app.runtime.session import Session
from training import acceptance, calibration
from training.acceptance import Outcomes
from training.calibration import softmax
from training.data import layout
from training.data.photos import LIMITS
from training.data.split import FOLDS, split_by_groups
from training.last_layer import cross_validate, fit_head
from training.parallel import map_in_order
from training.recipes.registry import BACKBONE_BUNDLE

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]
Predict = Callable[[Floats], Floats]


def embed(data: Path, classes: list[str]) -> tuple[Floats, Integers]:
    """Return embeddings (N, D) and class indices (N,) of the photos of `classes`; none: of all."""
    backbone = bundle.load(BACKBONE_BUNDLE)
    session = Session(backbone.model_path("fp32"), "cpu", "fp32")
    spec = backbone.manifest.input
    files = [
        file for file in layout.scan_folder(data).files if file.label in classes or not classes
    ]
    labels = sorted({file.label for file in files})

    def embedding(path: Path) -> NDArray[np.float32]:
        pixels = vision.resize(vision.decode(path.read_bytes(), LIMITS), spec)
        return session.outputs_of(["embedding"], pixels[np.newaxis])[0]

    rows = list(map_in_order(embedding, [file.path for file in files], "embedding photos"))
    return np.concatenate(rows), np.array([labels.index(file.label) for file in files], np.intp)


@dataclass(frozen=True, eq=False)
class Trained:
    """A head and its out-of-fold outcomes."""

    predict: Predict
    """Embeddings (N, D) -> probabilities (N, K)."""
    out_of_fold: Outcomes


def train(embeddings: Floats, truth: Integers, seed: int) -> Trained:
    """Train a head as `hubel train` does."""
    folds = split_by_groups(truth, np.arange(len(truth)), [1.0] * FOLDS, seed)
    validated = cross_validate(embeddings, truth, folds)
    smoothing = calibration.label_smoothing_for(len(truth))
    temperature = calibration.fit_temperature(validated.logits, truth, smoothing)
    head = fit_head(embeddings, truth, validated.c)
    return Trained(
        lambda rows: softmax(head.logits(rows) / temperature),
        Outcomes.of(softmax(validated.logits / temperature), truth),
    )


@dataclass
class Tally:
    """The splits of one promise, and their accepted predictions."""

    kept: int = 0
    none: int = 0
    """Splits in which no threshold keeps the promise."""
    coverages: list[float] = field(default_factory=list)
    accepted: int = 0
    wrong: int = 0

    def add(self, threshold: float | None, measured: Outcomes, precision: float) -> None:
        """Count one split."""
        if threshold is None:
            self.none += 1
            self.kept += 1
            self.coverages.append(0)
            return
        accepted, wrong = measured.accepted(threshold)
        self.kept += accepted - wrong >= precision * accepted
        self.coverages.append(accepted / len(measured.scores))
        self.accepted += accepted
        self.wrong += wrong

    def row(self) -> str:
        """Return the cells of the table."""
        splits = len(self.coverages)
        share = 1 - self.wrong / self.accepted if self.accepted else float("nan")
        return (
            f"{self.kept} of {splits} ({100 * self.kept / splits:.1f} %) | {self.none} | "
            f"{100 * float(np.mean(self.coverages)):.1f} % | {100 * share:.2f} %"
        )


def splits(
    embeddings: Floats, truth: Integers, count: int, photos: int
) -> Iterator[tuple[Outcomes, Outcomes, Outcomes, Outcomes]]:
    """Yield what `train` chooses on and is measured on, then the same of `calibrate`."""
    first: Trained | None = None
    unseen = np.arange(0)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(truth))
        inside, outside = order[:photos], order[photos:]
        trained = train(embeddings[inside], truth[inside], seed)
        measured = Outcomes.of(trained.predict(embeddings[outside]), truth[outside])
        if first is None:
            first, unseen = trained, outside
        drawn = rng.permutation(unseen)
        fixed = Outcomes.of(first.predict(embeddings[drawn]), truth[drawn])
        chosen, others = np.split(np.arange(len(drawn)), [photos])
        yield trained.out_of_fold, measured, fixed.of_photos(chosen), fixed.of_photos(others)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--classes", default="", help="Classes to use, separated by commas. Unset: all.")
@click.option("--splits", "count", default=200, show_default=True)
@click.option("--photos", default=1000, show_default=True)
@click.option("--precisions", default="0.9,0.95", show_default=True)
def main(data: Path, classes: str, count: int, photos: int, precisions: str) -> None:
    """Print the table."""
    embeddings, truth = embed(data, [name for name in classes.split(",") if name])
    promises = [float(value) for value in precisions.split(",")]
    tallies = {(way, p): Tally() for way in ("train", "calibrate") for p in promises}
    correct = []
    for by_train, on_others, by_calibrate, on_rest in splits(embeddings, truth, count, photos):
        correct.append(float(on_others.right.mean()))
        for p in promises:
            tallies["train", p].add(acceptance.choose([by_train], p), on_others, p)
            tallies["calibrate", p].add(acceptance.choose([by_calibrate], p), on_rest, p)
    print(
        f"{len(truth)} photos, {truth.max() + 1} classes; thresholds from {photos}, measured "
        f"on {len(truth) - photos} (train) and {len(truth) - 2 * photos} (calibrate); top-1 "
        f"{100 * float(np.mean(correct)):.1f} %\n"
    )
    print("| promised | threshold by | kept in | without a threshold | coverage | precision |")
    print("|---|---|---|---|---|---|")
    for (way, p), tally in tallies.items():
        print(f"| {p:g} | {way} | {tally.row()} |")


if __name__ == "__main__":
    main()
