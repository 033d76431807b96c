"""Measure how often the guarded promotion is right, over many random retrainings.

    python -m benchmarks.comparison --data DIR [--per-class N] [--photos N …] [--retrainings N]
        [--classes N] [--margin M …] [--cache FILE]

DATA has a folder per class. Each retraining draws some classes, and photos for two versions of the
recipe `head` on the default bundle's embeddings:

    again      the same photos and a fifth more
    doubled    twice the photos
    third      a third of the photos
    careless   doubled, but a third of the new photos has a wrong label
    wrong      doubled, but all new photos of one class have the label of another
    shuffled   the same photos, 40 % of them with a wrong label, also in the test part

Both are compared as `hubel compare` does it: by the same split, cross-fitting, figures and rule.
Which is truly better is measured on the other photos of these classes, with their right labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from app import bundle, vision
from app.runtime.evaluation.accuracy import top_k_accuracy
from app.runtime.session import Session
from training import calibration
from training.comparison import figures, rule
from training.comparison.figures import Figures, Sides
from training.data.photos import LIMITS
from training.data.split import FOLDS, folds, split
from training.last_layer import cross_validate, fit_head
from training.parallel import map_in_order
from training.recipes.backbone import DEFAULT_BUNDLE

SCENARIOS = ("again", "doubled", "third", "careless", "wrong", "shuffled")
PROMOTED = ("better", "not_worse")
_COMPONENTS = 256
CLEAR = 0.05
"""A true loss of more than this is one that must not be promoted."""

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Version:
    """A trained head, and its predictions for the photos of the comparison."""

    accuracy: float
    """On photos that no version learnt from."""
    probabilities: NDArray[np.float64]
    """(N, K), of photos that it learnt from by heads without them."""


@dataclass(frozen=True)
class Retraining:
    """One comparison, and the truth."""

    scenario: str
    photos: int
    """Of each class, for the serving version."""
    true_difference: float
    figures: Figures

    def verdict(self, margin: float) -> str:
        """Return the verdict of the rule with a margin."""
        labels = [str(index) for index in range(len(self.figures.labels))]
        return rule.judge(self.figures, labels, (1, 2), margin).verdict


def train(
    embeddings: Floats, labels: Integers, learnt: Integers, unseen: Floats, truth: Integers
) -> Version:
    """Train a head on the photos `learnt`, as the recipe does, and predict all photos.

    Args:
        embeddings: (N, D) of the photos of the comparison.
        labels: (N,) their labels, right or wrong.
        learnt: indices of train and val.
        unseen: (M, D) of other photos.
        truth: (M,) their right classes.
    """
    inputs, targets = embeddings[learnt], labels[learnt]
    groups = np.arange(len(labels))
    inner = folds(targets, groups[learnt], 0)
    validated = cross_validate(inputs, targets, inner)
    out_of_fold = validated.logits(inputs, inner)
    smoothing = calibration.label_smoothing_for(len(targets))
    temperature = calibration.fit_temperature(out_of_fold, targets, smoothing)
    head = fit_head(inputs, targets, validated.c)
    logits = head.logits(embeddings)
    fold_of, is_learnt = folds(labels, groups, 0), np.isin(groups, learnt)
    for fold in range(FOLDS):
        outside = is_learnt & (fold_of != fold)
        inside = is_learnt & (fold_of == fold)
        without = fit_head(embeddings[outside], labels[outside], validated.c)
        logits[inside] = without.logits(embeddings[inside])
    accuracy = top_k_accuracy(head.logits(unseen), truth, 1)
    return Version(accuracy, calibration.softmax(logits / temperature))


def retrain(
    scenario: str, embeddings: Floats, classes: Integers, photos: int, rng: np.random.Generator
) -> Retraining:
    """Draw photos, train two versions and compare them.

    Args:
        scenario: one of `SCENARIOS`.
        embeddings: (P, D) of all photos of some classes.
        classes: (P,) their classes, 0 to K-1.
        photos: of each class, for the serving version.
        rng: draws.
    """
    count = classes.max() + 1
    orders = [rng.permutation(np.flatnonzero(classes == index)) for index in range(count)]
    added = {"again": photos // 5, "third": 0, "shuffled": 0}.get(scenario, photos)
    old = np.concatenate([order[:photos] for order in orders])
    new = np.concatenate([order[photos : photos + added] for order in orders])
    rest = np.concatenate([order[2 * photos :] for order in orders])
    chosen = np.concatenate([old, new])
    right = classes[chosen]
    is_new = np.arange(len(chosen)) >= len(old)
    labels = _labels(scenario, right, is_new, int(count), rng)
    groups, free = np.arange(len(chosen)), [None] * len(chosen)
    first = split(right[: len(old)], groups[: len(old)], free[: len(old)], 0)
    earlier = [*first, *free[len(old) :]]
    parts = np.array(split(labels, groups, free, 0, earlier))
    inputs, unseen = embeddings[chosen], embeddings[rest]
    learnt_first = np.flatnonzero(np.array(first) != "test")
    learnt = np.flatnonzero(parts != "test")
    if scenario == "third":
        learnt = learnt[rng.permutation(len(learnt))[: len(learnt) // 3]]
        learnt = _with_all_classes(np.sort(learnt), np.flatnonzero(parts != "test"), labels)
    serving = train(inputs, right, learnt_first, unseen, classes[rest])
    candidate = train(inputs, labels, learnt, unseen, classes[rest])
    found = _figures(serving, candidate, labels)
    return Retraining(scenario, photos, candidate.accuracy - serving.accuracy, found)


def _labels(
    scenario: str, right: Integers, is_new: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> Integers:
    """Return the labels that the photos have in a scenario."""
    labels = right.copy()
    if scenario == "wrong":
        labels[is_new & (right == 0)] = 1
        return labels
    share = {"careless": 1 / 3 * is_new, "shuffled": 0.4}.get(scenario, 0.0)
    flipped = rng.random(len(right)) < share
    labels[flipped] = (right[flipped] + rng.integers(1, count, int(flipped.sum()))) % count
    return labels


def _with_all_classes(some: Integers, every: Integers, labels: Integers) -> Integers:
    """Return `some`, with enough photos of each class for the folds."""
    more = [every[labels[every] == label][: 2 * FOLDS] for label in np.unique(labels)]
    return np.union1d(some, np.concatenate(more))


def _figures(serving: Version, candidate: Version, labels: Integers) -> Figures:
    count = serving.probabilities.shape[1]
    accepted = [
        np.eye(count, dtype=bool)[version.probabilities.argmax(axis=1)]
        for version in (serving, candidate)
    ]
    truth = np.eye(count, dtype=bool)[labels]
    sides = Sides(truth, serving.probabilities, candidate.probabilities, *accepted)
    return figures.of_classes(sides, 0)


def embed(folder: Path, per_class: int, cache: Path | None) -> tuple[Floats, Integers]:
    """Return the embeddings of photos of each class, and their classes."""
    files, classes = [], []
    for index, kind in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        found = sorted(kind.glob("*.jpg"))[:per_class]
        files += found
        classes += [index] * len(found)
    if cache is not None and cache.exists():
        return _principal(np.load(cache)), np.array(classes, np.intp)
    loaded = bundle.load(DEFAULT_BUNDLE)
    session = Session(loaded.model_path("fp32"), "cpu", "fp32")
    spec = loaded.manifest.input
    view = vision.view_of(spec)

    def run(file: Path) -> NDArray[np.float32]:
        image = vision.resize(vision.decode(file.read_bytes(), LIMITS, view), spec)
        return session.outputs_of(["embedding"], image[np.newaxis])[0][0]

    embeddings = np.stack(list(map_in_order(run, files, "embedding")))
    if cache is not None:
        np.save(cache, embeddings)
    return _principal(embeddings), np.array(classes, np.intp)


def _principal(embeddings: Floats) -> Floats:
    """Return the first 256 principal components: fits are quicker, and hardly differ."""
    centred = embeddings - embeddings.mean(axis=0)
    _, _, directions = np.linalg.svd(centred[:: max(1, len(centred) // 2000)], full_matrices=False)
    return np.asarray((centred @ directions[:_COMPONENTS].T).astype(np.float32))


def run(
    embeddings: Floats, classes: Integers, photos: int, drawn: int, retrainings: int
) -> Iterator[Retraining]:
    """Yield retrainings of every scenario, each with other classes and photos."""
    for number in range(retrainings):
        for place, scenario in enumerate(SCENARIOS):
            rng = np.random.default_rng([number, place, photos])
            some = np.sort(rng.permutation(classes.max() + 1)[:drawn])
            rows = np.flatnonzero(np.isin(classes, some))
            yield retrain(
                scenario, embeddings[rows], np.searchsorted(some, classes[rows]), photos, rng
            )


def summary(results: list[Retraining], margin: float) -> list[str]:
    """Return a line for each scenario, and for what is truly worse or truly as good."""
    groups = {scenario: [r for r in results if r.scenario == scenario] for scenario in SCENARIOS}
    groups |= {
        "truly worse by over 5 points": [r for r in results if r.true_difference < -CLEAR],
        "truly as good or better": [r for r in results if r.true_difference >= 0],
    }
    lines = []
    for name, of_group in groups.items():
        if not of_group:
            continue
        verdicts = [each.verdict(margin) for each in of_group]
        shares = {each: verdicts.count(each) / len(verdicts) for each in set(verdicts)}
        promoted = sum(shares.get(each, 0) for each in PROMOTED)
        true = np.mean([each.true_difference for each in of_group])
        worse, few = (100 * shares.get(each, 0) for each in ("worse", "not_comparable"))
        lines.append(
            f"| {name} | {len(of_group)} | {100 * true:+.1f} | {100 * promoted:.0f} % | "
            f"{worse:.0f} % | {few:.0f} % |"
        )
    return lines


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--per-class", default=500)
@click.option("--photos", multiple=True, default=(30, 100), type=int)
@click.option("--classes", "drawn", default=4)
@click.option("--retrainings", default=50)
@click.option("--margin", "margins", multiple=True, default=(0.02, 0.05, 0.1))
@click.option("--cache", type=click.Path(path_type=Path))
def main(
    data: Path,
    per_class: int,
    photos: tuple[int, ...],
    drawn: int,
    retrainings: int,
    margins: tuple[float, ...],
    cache: Path | None,
) -> None:
    """Print how often new versions are promoted, by scenario, number of photos and margin."""
    embeddings, classes = embed(data, per_class, cache)
    for each in photos:
        results = []
        for one in run(embeddings, classes, each, drawn, retrainings):
            results.append(one)
            click.echo(f"{len(results)} {one.scenario} {one.true_difference:+.3f}", err=True)
        for margin in margins:
            click.echo(f"\n{each} photos of each of {drawn} classes, margin {margin:g}\n")
            click.echo("| scenario | retrainings | true difference | promoted | worse | too few |")
            click.echo("|---|---|---|---|---|---|")
            click.echo("\n".join(summary(results, margin)))


if __name__ == "__main__":
    main()
