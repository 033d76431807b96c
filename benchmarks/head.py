"""How good the recipe `head` is, cross-validated, and which score knows the unknown.

    python benchmarks/head.py --known DIR --unknown DIR [--bundle DIR]

--known is a data folder (a folder per class). Tables, in Markdown:

    strengths   the likelihood, accuracy and calibration error of each strength, out of fold
    procedure   each fifth of the photos judged by what `hubel train` would have made of the other
                four: strength, head and temperature, over several seeds. The calibration error is
                over all photos, since a test split is too small for one
    bundle      (with --bundle, made of --known) its own familiarity output, in each precision: its
                test photos against --unknown
    unknown     scores of familiarity: AUROC of held-out known photos against --unknown, and the
                share of the unknown that a threshold rejects which accepts 95 % of the known; mean
                and standard deviation over the folds

--unknown holds folders called by ImageNet synset. Those of dogs, wolves, wild dogs (indices 151 to
275) and of domestic cats (281 to 285) show what cats-dogs knows, and are left out; they are named.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from app import bundle
from app.runtime.evaluation import accuracy
from app.runtime.session import Session
from training import calibration, familiarity, last_layer
from training.data import duplicates, examples, findings, layout
from training.data.photos import Photo, read_photos
from training.data.split import FOLDS, deal
from training.imagenet import labels
from training.parallel import run_graph
from training.recipes.registry import BACKBONE

ALIKE = (*range(151, 276), *range(281, 286))
"""ImageNet's indices of dogs, wolves and wild dogs, and of domestic cats."""

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Score = Callable[[Floats, Integers, Floats], Floats]


def _embedded(data: Path) -> tuple[Floats, list[Photo], Integers]:
    """Embeddings (N, D), photos and groups, of what training would learn from."""
    made = bundle.load(BACKBONE)
    session = Session(made.model_path("fp32"), "cpu", "fp32")
    with tempfile.TemporaryDirectory() as folder:
        files = layout.look_into(data).files
        photos, _, (pixels,) = read_photos(files, [made.manifest.input], Path(folder))
        doubles = duplicates.find(photos)
        used = findings.used(photos, doubles)
        rows = [photos[index].row for index in used]
        (embeddings,) = run_graph(session, ["embedding"], pixels, rows, "embedding photos")
    return (
        embeddings.astype(np.float64),
        [photos[index] for index in used],
        doubles.group_of[used],
    )


def _strengths(embeddings: Floats, truth: Integers, groups: Integers) -> None:
    folds = deal(truth, groups, [1.0] * FOLDS, 0)
    print("\n| strength | likelihood | top-1 | ECE | ECE with temperature | temperature |")
    print("|---|---|---|---|---|---|")
    for strength in (*last_layer.STRENGTHS, 10.0):
        logits = np.empty((len(truth), truth.max() + 1))
        for fold in range(FOLDS):
            inside = folds == fold
            fitted = last_layer.fit(embeddings[~inside], truth[~inside], strength)
            logits[inside] = fitted.logits(embeddings[inside])
        temperatures = calibration.cross_fit(logits, truth, 0)
        before = calibration.softmax(logits)
        after = calibration.softmax(logits / temperatures.of_photo[:, np.newaxis])
        loss = -np.log(before[np.arange(len(truth)), truth]).mean()
        print(
            f"| {strength:g} | {loss:.4f} | {100 * accuracy.top_k_accuracy(before, truth, 1):.2f} "
            f"| {accuracy.calibration_error(before, truth):.4f} "
            f"| {accuracy.calibration_error(after, truth):.4f} | {temperatures.all:.3f} |"
        )


def _procedure(embeddings: Floats, truth: Integers, groups: Integers, seeds: int) -> None:
    print("\n| seed | top-1 | ECE without temperature | ECE | strengths |")
    print("|---|---|---|---|---|")
    for seed in range(seeds):
        outer = deal(truth, groups, [1.0] * FOLDS, seed)
        before, after = (np.empty((len(truth), truth.max() + 1)) for _ in range(2))
        strengths = []
        for fold in range(FOLDS):
            test, own = outer == fold, outer != fold
            inner = deal(truth[own], groups[own], [1.0] * FOLDS, seed)
            choice = last_layer.choose(embeddings[own], truth[own], inner)
            label_smoothing = calibration.label_smoothing_for(int(own.sum()))
            temperature = calibration.fit_temperature(choice.logits, truth[own], label_smoothing)
            logits = last_layer.fit(embeddings[own], truth[own], choice.strength).logits(
                embeddings[test]
            )
            before[test] = calibration.softmax(logits)
            after[test] = calibration.softmax(logits / temperature)
            strengths.append(f"{choice.strength:g}")
        print(
            f"| {seed} | {100 * accuracy.top_k_accuracy(after, truth, 1):.2f} "
            f"| {accuracy.calibration_error(before, truth):.4f} "
            f"| {accuracy.calibration_error(after, truth):.4f} | {', '.join(strengths)} |"
        )


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _max_probability(known: Floats, truth: Integers, photos: Floats) -> Floats:
    return calibration.softmax(last_layer.fit(known, truth, 0.1).logits(photos)).max(axis=1)


def _energy(known: Floats, truth: Integers, photos: Floats) -> Floats:
    return np.asarray(np.logaddexp.reduce(last_layer.fit(known, truth, 0.1).logits(photos), axis=1))


def _mahalanobis(known: Floats, truth: Integers, photos: Floats) -> Floats:
    means = np.stack([known[truth == label].mean(axis=0) for label in np.unique(truth)])
    inverse = np.linalg.inv(ledoit_wolf(known - means[truth])[0])
    apart = [((photos - mean) @ inverse * (photos - mean)).sum(axis=1) for mean in means]
    return np.asarray(-np.min(apart, axis=0))


def _neighbours(count: int, most: int | None = None) -> Score:
    def score(known: Floats, truth: Integers, photos: Floats) -> Floats:
        del truth
        selected = np.random.default_rng(0).permutation(len(known))[:most]
        cosines = _unit(photos) @ _unit(known[selected]).T
        return np.asarray(np.sort(cosines, axis=1)[:, -count:].mean(axis=1))

    return score


def _centres(per_class: int) -> Score:
    def score(known: Floats, truth: Integers, photos: Floats) -> Floats:
        return familiarity.score(photos, familiarity.prototypes(known, truth, 0, per_class))

    return score


SCORES: dict[str, Score] = {
    "max probability": _max_probability,
    "energy": _energy,
    "Mahalanobis, Ledoit-Wolf": _mahalanobis,
    "cosine to 1 nearest": _neighbours(1),
    "mean cosine to 5 nearest": _neighbours(5),
    "mean cosine to 20 nearest": _neighbours(20),
    "mean cosine to 5 nearest of 100 photos": _neighbours(5, 100),
    **{
        f"cosine to nearest of {count} centres a class": _centres(count)
        for count in (1, 5, 10, 25, 50, 100, 200)
    },
}


def _unknown(known: Floats, truth: Integers, groups: Integers, strange: Floats) -> None:
    folds = deal(truth, groups, [1.0] * FOLDS, 0)
    print(f"\n{len(known)} known, {len(strange)} unknown\n")
    print("| score | AUROC | unknown rejected, % |\n|---|---|---|")
    for name, score in SCORES.items():
        areas, rejected = [], []
        for fold in range(FOLDS):
            inside = folds == fold
            own, other = (
                score(known[~inside], truth[~inside], photos) for photos in (known[inside], strange)
            )
            positive = np.concatenate([np.ones(len(own)), np.zeros(len(other))])
            areas.append(roc_auc_score(positive, np.concatenate([own, other])))
            rejected.append(100 * (other < familiarity.threshold(own)).mean())
        print(
            f"| {name} | {np.mean(areas):.4f} ± {np.std(areas):.4f} "
            f"| {np.mean(rejected):.1f} ± {np.std(rejected):.1f} |"
        )


def _bundled(folder: Path, known: Path, unknown: Path, left_out: set[str]) -> None:
    made = bundle.load(folder)
    spec = made.manifest.input
    print("\n| precision | AUROC | known accepted, % | unknown rejected, % |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        data = layout.look_into(known)
        photos, _, (pixels,) = read_photos(data.files, [spec], Path(one))
        own = examples.prepare(data, photos, duplicates.find(photos), made.manifest.training.seed)
        tested = own.rows[own.of("test")].tolist()
        strange, _, (others,) = read_photos(layout.look_into(unknown).files, [spec], Path(other))
        rows = [photo.row for photo in strange if photo.file.label not in left_out]
        assert made.manifest.unknown is not None
        threshold = made.manifest.unknown.threshold
        for precision in made.manifest.precisions:
            session = Session(made.model_path(precision), "cpu", precision)
            (ours,) = run_graph(session, ["familiarity"], pixels, tested, "known")
            (theirs,) = run_graph(session, ["familiarity"], others, rows, "unknown")
            positive = np.concatenate([np.ones(len(ours)), np.zeros(len(theirs))])
            area = roc_auc_score(positive, np.concatenate([ours, theirs]))
            accepted, rejected = (ours >= threshold).mean(), (theirs < threshold).mean()
            print(f"| {precision} | {area:.4f} | {100 * accepted:.1f} | {100 * rejected:.1f} |")


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(help=__doc__)
@click.option("--known", type=_FOLDER, required=True)
@click.option("--unknown", type=_FOLDER, required=True)
@click.option("--bundle", "folder", type=_FOLDER)
@click.option("--seeds", type=int, default=3, show_default=True)
def main(known: Path, unknown: Path, folder: Path | None, seeds: int) -> None:
    """Print the tables."""
    embeddings, photos, groups = _embedded(known)
    names = sorted({photo.file.label for photo in photos})
    truth = np.array([names.index(photo.file.label) for photo in photos], np.intp)
    _strengths(embeddings, truth, groups)
    _procedure(embeddings, truth, groups, seeds)

    index_of = {label.id: index for index, label in enumerate(labels.read(labels.IMAGENET))}
    name_of = {label.id: label.name for label in labels.read(labels.IMAGENET)}
    others, seen, _ = _embedded(unknown)
    alike = np.array([index_of[photo.file.label] in ALIKE for photo in seen])
    left_out = [name_of[photo.file.label] for photo, out in zip(seen, alike, strict=True) if out]
    print(f"\nleft out of the unknown: {', '.join(left_out)}")
    _unknown(embeddings, truth, groups, others[~alike])
    if folder:
        same = {photo.file.label for photo, out in zip(seen, alike, strict=True) if out}
        _bundled(folder, known, unknown, same)


if __name__ == "__main__":
    main()
