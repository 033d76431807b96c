"""Measure the recipe `head` by cross-validation, and compare out-of-distribution scores.

    python benchmarks/head.py --known DIR --unknown DIR [--bundle DIR]

--known is a data folder (a folder per class). The tables, in Markdown:

    C           likelihood, accuracy and calibration error of each C (inverse regularisation
                strength), out of fold
    procedure   accuracy and calibration error over several seeds. A head is trained on four fifths
                of the photos as by `hubel train` (C, head, temperature), and predicts the other
                fifth. The calibration error is over all photos, since a test split is too small
                to measure it
    unknown     out-of-distribution scores: AUROC of held-out known photos against --unknown, and
                the share of the unknown that is rejected by the threshold that accepts 95 % of the
                known; mean and standard deviation over the folds
    bundle      (with --bundle, trained on --known) the bundle's familiarity output, in each
                precision: its test photos against --unknown

--unknown holds folders named by ImageNet synset. Dogs, wolves and wild dogs (indices 151 to 275)
and domestic cats (281 to 285) belong to the classes of cats-dogs. They are left out and listed.
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
from app.runtime.evaluation.calibration_error import calibration_error
from app.runtime.session import Session
from training import calibration, familiarity, last_layer
from training.data import duplicates, examine, examples, layout
from training.data.photos import Photo, read_photos
from training.data.split import FOLDS, split_by_groups
from training.imagenet import labels
from training.parallel import run_graph
from training.recipes.backbone import DEFAULT_BUNDLE

CATS_AND_DOGS = (*range(151, 276), *range(281, 286))
"""ImageNet's indices of dogs, wolves and wild dogs, and of domestic cats."""

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Score = Callable[[Floats, Integers, Floats], Floats]


def _embed(data: Path) -> tuple[Floats, list[Photo], Integers]:
    """Return embeddings (N, D), photos and groups of the photos that training would use."""
    backbone = bundle.load(DEFAULT_BUNDLE)
    session = Session(backbone.model_path("fp32"), "cpu", "fp32")
    with tempfile.TemporaryDirectory() as folder:
        files = layout.scan_folder(data).files
        photos, _, (pixels,) = read_photos(files, [backbone.manifest.input], Path(folder))
        doubles = duplicates.find(photos, pixels)
        used = examine.used(photos, doubles)
        rows = [photos[index].row for index in used]
        (embeddings,) = run_graph(session, ["embedding"], pixels, rows, "embedding photos")
    return (
        embeddings.astype(np.float64),
        [photos[index] for index in used],
        doubles.group_of[used],
    )


def _print_c_values(embeddings: Floats, truth: Integers, groups: Integers) -> None:
    folds = split_by_groups(truth, groups, [1.0] * FOLDS, 0)
    print("\n| C | likelihood | top-1 | ECE | ECE with temperature | temperature |")
    print("|---|---|---|---|---|---|")
    for c in (*last_layer.C_VALUES, 10.0):
        logits = np.empty((len(truth), truth.max() + 1))
        for fold in range(FOLDS):
            inside = folds == fold
            fitted = last_layer.fit_head(embeddings[~inside], truth[~inside], c)
            logits[inside] = fitted.logits(embeddings[inside])
        temperatures = calibration.cross_fit(logits, truth, 0)
        before = calibration.softmax(logits)
        after = calibration.softmax(logits / temperatures.of_photo[:, np.newaxis])
        loss = -np.log(before[np.arange(len(truth)), truth]).mean()
        print(
            f"| {c:g} | {loss:.4f} | {100 * accuracy.top_k_accuracy(before, truth, 1):.2f} "
            f"| {calibration_error(before, truth):.4f} "
            f"| {calibration_error(after, truth):.4f} | {temperatures.of_all_photos:.3f} |"
        )


def _print_procedure(embeddings: Floats, truth: Integers, groups: Integers, seeds: int) -> None:
    print("\n| seed | top-1 | ECE without temperature | ECE | C |")
    print("|---|---|---|---|---|")
    for seed in range(seeds):
        outer = split_by_groups(truth, groups, [1.0] * FOLDS, seed)
        before, after = (np.empty((len(truth), truth.max() + 1)) for _ in range(2))
        c_values = []
        for fold in range(FOLDS):
            test, train = outer == fold, outer != fold
            inner = split_by_groups(truth[train], groups[train], [1.0] * FOLDS, seed)
            validated = last_layer.cross_validate(embeddings[train], truth[train], inner)
            label_smoothing = calibration.label_smoothing_for(int(train.sum()))
            out_of_fold = validated.logits(embeddings[train], inner)
            temperature = calibration.fit_temperature(out_of_fold, truth[train], label_smoothing)
            logits = last_layer.fit_head(embeddings[train], truth[train], validated.c).logits(
                embeddings[test]
            )
            before[test] = calibration.softmax(logits)
            after[test] = calibration.softmax(logits / temperature)
            c_values.append(f"{validated.c:g}")
        print(
            f"| {seed} | {100 * accuracy.top_k_accuracy(after, truth, 1):.2f} "
            f"| {calibration_error(before, truth):.4f} "
            f"| {calibration_error(after, truth):.4f} | {', '.join(c_values)} |"
        )


def _to_unit_length(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _max_probability(known: Floats, truth: Integers, photos: Floats) -> Floats:
    return calibration.softmax(last_layer.fit_head(known, truth, 0.1).logits(photos)).max(axis=1)


def _energy(known: Floats, truth: Integers, photos: Floats) -> Floats:
    return np.asarray(
        np.logaddexp.reduce(last_layer.fit_head(known, truth, 0.1).logits(photos), axis=1)
    )


def _mahalanobis(known: Floats, truth: Integers, photos: Floats) -> Floats:
    means = np.stack([known[truth == label].mean(axis=0) for label in np.unique(truth)])
    inverse = np.linalg.inv(ledoit_wolf(known - means[truth])[0])
    distances = [((photos - mean) @ inverse * (photos - mean)).sum(axis=1) for mean in means]
    return np.asarray(-np.min(distances, axis=0))


def _neighbours(count: int, most: int | None = None) -> Score:
    def score(known: Floats, truth: Integers, photos: Floats) -> Floats:
        del truth
        selected = np.random.default_rng(0).permutation(len(known))[:most]
        cosines = _to_unit_length(photos) @ _to_unit_length(known[selected]).T
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


def _print_scores(known: Floats, truth: Integers, groups: Integers, unknown: Floats) -> None:
    folds = split_by_groups(truth, groups, [1.0] * FOLDS, 0)
    print(f"\n{len(known)} known, {len(unknown)} unknown\n")
    print("| score | AUROC | unknown rejected, % |\n|---|---|---|")
    for name, score in SCORES.items():
        areas, rejected = [], []
        for fold in range(FOLDS):
            inside = folds == fold
            known_scores, unknown_scores = (
                score(known[~inside], truth[~inside], photos) for photos in (known[inside], unknown)
            )
            positive = np.concatenate([np.ones(len(known_scores)), np.zeros(len(unknown_scores))])
            areas.append(roc_auc_score(positive, np.concatenate([known_scores, unknown_scores])))
            rejected.append(100 * (unknown_scores < familiarity.threshold(known_scores)).mean())
        print(
            f"| {name} | {np.mean(areas):.4f} ± {np.std(areas):.4f} "
            f"| {np.mean(rejected):.1f} ± {np.std(rejected):.1f} |"
        )


def _print_bundle(folder: Path, known: Path, unknown: Path, left_out: set[str]) -> None:
    trained = bundle.load(folder)
    spec = trained.manifest.input
    print("\n| precision | AUROC | known accepted, % | unknown rejected, % |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        data = layout.scan_folder(known)
        photos, _, (pixels,) = read_photos(data.files, [spec], Path(first))
        own = examples.select_and_split(
            data, photos, duplicates.find(photos, pixels), trained.manifest.training.seed
        )
        test_rows = own.rows[own.indices_of("test")].tolist()
        unknown_photos, _, (unknown_pixels,) = read_photos(
            layout.scan_folder(unknown).files, [spec], Path(second)
        )
        rows = [photo.row for photo in unknown_photos if photo.file.label not in left_out]
        assert trained.manifest.unknown is not None
        threshold = trained.manifest.unknown.threshold
        for precision in trained.manifest.precisions:
            session = Session(trained.model_path(precision), "cpu", precision)
            (of_known,) = run_graph(session, ["familiarity"], pixels, test_rows, "known")
            (of_unknown,) = run_graph(session, ["familiarity"], unknown_pixels, rows, "unknown")
            positive = np.concatenate([np.ones(len(of_known)), np.zeros(len(of_unknown))])
            area = roc_auc_score(positive, np.concatenate([of_known, of_unknown]))
            accepted, rejected = (of_known >= threshold).mean(), (of_unknown < threshold).mean()
            print(f"| {precision} | {area:.4f} | {100 * accepted:.1f} | {100 * rejected:.1f} |")


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(help=__doc__)
@click.option("--known", type=_FOLDER, required=True)
@click.option("--unknown", type=_FOLDER, required=True)
@click.option("--bundle", "folder", type=_FOLDER)
@click.option("--seeds", type=int, default=3, show_default=True)
def main(known: Path, unknown: Path, folder: Path | None, seeds: int) -> None:
    """Print the tables."""
    embeddings, photos, groups = _embed(known)
    names = sorted({photo.file.label for photo in photos})
    truth = np.array([names.index(photo.file.label) for photo in photos], np.intp)
    _print_c_values(embeddings, truth, groups)
    _print_procedure(embeddings, truth, groups, seeds)

    index_of = {label.id: index for index, label in enumerate(labels.read(labels.IMAGENET))}
    name_of = {label.id: label.name for label in labels.read(labels.IMAGENET)}
    unknown_embeddings, unknown_photos, _ = _embed(unknown)
    is_known = np.array([index_of[photo.file.label] in CATS_AND_DOGS for photo in unknown_photos])
    excluded = [
        photo.file.label for photo, hit in zip(unknown_photos, is_known, strict=True) if hit
    ]
    left_out = [name_of[label] for label in excluded]
    print(f"\nleft out of the unknown: {', '.join(left_out)}")
    _print_scores(embeddings, truth, groups, unknown_embeddings[~is_known])
    if folder:
        _print_bundle(folder, known, unknown, set(excluded))


if __name__ == "__main__":
    main()
