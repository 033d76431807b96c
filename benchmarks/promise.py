"""Measure how often the promised precision of accepted predictions is kept.

    python benchmarks/promise.py DATA [--classes cat,dog,…] [--splits 200] [--photos 1000]
                                      [--precisions 0.9,0.95] [--most 4300] [--cache FILE]
                                      [--by-class]

DATA is a folder as `hubel train` reads it; a given split is ignored, and of each class the first
--most photos are used. Embeddings come from the int8 graph, which takes half the time. --cache
keeps them in a file. C is selected on the first split. The table, in Markdown, for
each promise and each way to choose the threshold:

    train       per split, a head is trained on --photos of the photos as by `hubel train` (recipe
                head), the threshold is chosen on its out-of-fold predictions, and the accepted
                predictions are counted on all other photos
    calibrate   the head of the first split; per split, the threshold is chosen on --photos of the
                photos that the head did not see, and measured on the others, as by
                `hubel calibrate`; left out without photos enough

A second table, with --by-class, compares one threshold for all classes with thresholds by class,
chosen as by `hubel calibrate`. There a split is kept if the promise holds for each class.

A split in which no threshold keeps the promise counts as kept, since the command then promises
nothing; the table has the number of these. The precision is that of all splits together.
`unknown` plays no part: every photo is of one of the classes.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from app import bundle, vision
from app.bundle import DecisionRule
from app.runtime.session import Session
from training import acceptance, calibration
from training.acceptance import Outcomes
from training.calibration import softmax
from training.data import layout
from training.data.photos import LIMITS
from training.data.split import FOLDS, split_by_groups
from training.errors import PromiseUnattainable
from training.last_layer import cross_validate, fit_head
from training.packaging.promise import HeldOut, Promise, decision_rule
from training.parallel import map_in_order
from training.recipes.backbone import DEFAULT_BUNDLE

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]
Predict = Callable[[Floats], Floats]


def embed(data: Path, classes: list[str], most: int) -> tuple[Floats, Integers]:
    """Return embeddings (N, D) and class indices (N,) of the photos of `classes`; none: of all."""
    backbone = bundle.load(DEFAULT_BUNDLE)
    session = Session(backbone.model_path("int8"), "cpu", "int8")
    spec = backbone.manifest.input
    listed = [
        file for file in layout.scan_folder(data).files if file.label in classes or not classes
    ]
    labels = sorted({file.label for file in listed})
    files = [
        file for label in labels for file in [each for each in listed if each.label == label][:most]
    ]

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


def train(embeddings: Floats, truth: Integers, seed: int, c: float) -> Trained:
    """Train a head as `hubel train` does, with a known C."""
    folds = split_by_groups(truth, np.arange(len(truth)), [1.0] * FOLDS, seed)
    logits = np.empty((len(truth), truth.max() + 1))
    for fold in range(FOLDS):
        inside = folds == fold
        fitted = fit_head(embeddings[~inside], truth[~inside], c)
        logits[inside] = fitted.logits(embeddings[inside])
    smoothing = calibration.label_smoothing_for(len(truth))
    temperature = calibration.fit_temperature(logits, truth, smoothing)
    head = fit_head(embeddings, truth, c)
    return Trained(
        lambda rows: softmax(head.logits(rows) / temperature),
        Outcomes.of(softmax(logits / temperature), truth),
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


@dataclass
class ClassTally:
    """The splits of one promise, and the accepted predictions of each class."""

    kept: int = 0
    """Splits in which the promise holds for each class with accepted predictions."""
    coverages: list[float] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    """By split, the number of classes with a threshold of their own."""
    accepted: Integers | None = None
    right: Integers | None = None
    """(K,) of all splits together."""

    def add(self, rule: DecisionRule | None, rows: Floats, truth: Integers, p: float) -> None:
        """Count one split; without a rule nothing is accepted."""
        classes = rows.shape[1]
        limits = np.array([rule.threshold_of(str(k)) if rule else None for k in range(classes)])
        predicted = rows.argmax(axis=1)
        reached = rows.max(axis=1) >= np.where(limits == None, 2, limits)[predicted].astype(float)  # noqa: E711
        accepted = np.bincount(predicted[reached], minlength=classes)
        right = np.bincount(predicted[reached & (predicted == truth)], minlength=classes)
        self.kept += bool((right >= p * accepted).all())
        self.coverages.append(float(reached.mean()))
        self.own.append(len(rule.labels) if rule else 0)
        self.accepted = accepted if self.accepted is None else self.accepted + accepted
        self.right = right if self.right is None else self.right + right

    def row(self) -> str:
        """Return the cells of the table."""
        assert self.accepted is not None
        assert self.right is not None
        splits = len(self.coverages)
        shares = self.right / np.maximum(1, self.accepted)
        worst = min(shares[self.accepted > 0], default=float("nan"))
        return (
            f"{float(np.mean(self.own)):.1f} | {self.kept} of {splits} | "
            f"{100 * float(np.mean(self.coverages)):.1f} % | "
            f"{100 * self.right.sum() / max(1, self.accepted.sum()):.2f} % | {100 * worst:.2f} %"
        )


def class_table(
    embeddings: Floats, truth: Integers, count: int, photos: int, promises: list[float]
) -> Iterator[str]:
    """Yield the lines of the second table."""
    order = np.random.default_rng(0).permutation(len(truth))
    inside, unseen = order[:photos], order[photos:]
    folds = split_by_groups(truth[inside], np.arange(photos), [1.0] * FOLDS, 0)
    c = cross_validate(embeddings[inside], truth[inside], folds).c
    rows = train(embeddings[inside], truth[inside], 0, c).predict(embeddings[unseen])
    known = truth[unseen]
    labels = [str(k) for k in range(rows.shape[1])]
    yield "| promised | photos | thresholds | own | kept | coverage | precision | worst class |"
    yield "|---|---|---|---|---|---|---|---|"
    for chosen in (photos, 4 * photos):
        for p in promises:
            for name, per_class in (("one", False), ("by class", True)):
                tally = ClassTally()
                for seed in range(count):
                    drawn = np.random.default_rng(seed).permutation(len(known))
                    some, others = drawn[:chosen], drawn[chosen:]
                    held_out = HeldOut(
                        known[some], np.arange(chosen), {"fp32": rows[some]}, None, "photos"
                    )
                    rule = None
                    with contextlib.suppress(PromiseUnattainable):
                        rule = decision_rule(held_out, Promise(p, per_class), None, labels)
                    tally.add(rule, rows[others], known[others], p)
                yield f"| {p:g} | {chosen} | {name} | {tally.row()} |"


def splits(
    embeddings: Floats, truth: Integers, count: int, photos: int, trains: bool
) -> Iterator[tuple[str, Outcomes, Outcomes]]:
    """Yield by split and way the outcomes that choose the threshold, and those that measure it."""
    order = np.random.default_rng(0).permutation(len(truth))
    inside, unseen = order[:photos], order[photos:]
    folds = split_by_groups(truth[inside], np.arange(photos), [1.0] * FOLDS, 0)
    c = cross_validate(embeddings[inside], truth[inside], folds).c
    first = train(embeddings[inside], truth[inside], 0, c)
    fixed = Outcomes.of(first.predict(embeddings[unseen]), truth[unseen])
    for seed in range(count):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(truth))
        inside, outside = order[:photos], order[photos:]
        if trains:
            trained = train(embeddings[inside], truth[inside], seed, c)
            measured = Outcomes.of(trained.predict(embeddings[outside]), truth[outside])
            yield "train", trained.out_of_fold, measured
        if len(unseen) > photos:
            drawn = rng.permutation(len(unseen))
            yield "calibrate", fixed.of_photos(drawn[:photos]), fixed.of_photos(drawn[photos:])


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--classes", default="", help="Classes to use, separated by commas. Unset: all.")
@click.option("--splits", "count", default=200, show_default=True)
@click.option("--photos", default=1000, show_default=True)
@click.option("--precisions", default="0.9,0.95", show_default=True)
@click.option("--most", default=4300, show_default=True, help="Photos of each class at most.")
@click.option("--calibrate-only", is_flag=True, help="Leave out train, which takes minutes.")
@click.option("--by-class", is_flag=True, help="Print the second table alone.")
@click.option("--cache", type=click.Path(dir_okay=False, path_type=Path), help="File (.npz).")
def main(
    data: Path,
    classes: str,
    count: int,
    photos: int,
    precisions: str,
    most: int,
    cache: Path | None,
    calibrate_only: bool,
    by_class: bool,
) -> None:
    """Print a table."""
    if cache is not None and cache.exists():
        embeddings, truth = np.load(cache).values()
    else:
        embeddings, truth = embed(data, [name for name in classes.split(",") if name], most)
        if cache is not None:
            np.savez(cache, embeddings, truth)
    promises = [float(value) for value in precisions.split(",")]
    if by_class:
        for line in class_table(embeddings, truth, count, photos, promises):
            print(line, flush=True)
        return
    tallies: dict[tuple[str, float], Tally] = {}
    correct = []
    for way, chosen, measured in splits(
        embeddings, truth, count, photos, trains=not calibrate_only
    ):
        correct.append(float(measured.right.mean()))
        for p in promises:
            threshold = acceptance.choose([chosen], p)
            tallies.setdefault((way, p), Tally()).add(threshold, measured, p)
    print(
        f"{len(truth)} photos, {truth.max() + 1} classes; thresholds from {photos}, measured on "
        f"the others; top-1 {100 * float(np.mean(correct)):.1f} %\n"
    )
    print("| promised | threshold by | kept in | without a threshold | coverage | precision |")
    print("|---|---|---|---|---|---|")
    for (way, p), tally in tallies.items():
        print(f"| {p:g} | {way} | {tally.row()} |")


if __name__ == "__main__":
    main()
