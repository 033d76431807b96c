"""Measure how many wrong labels the label audit finds.

    python benchmarks/label_audit.py DATA [--share 0.05] [--seeds 10]

DATA is a folder as `hubel train` reads it; its labels count as right. For each seed a share of the
labels is replaced by another class. A head is trained on them as by `hubel train` (recipe head):
photos of train and val are predicted out of fold, those of test by the final head. The table, in
Markdown, says which share of the replaced labels is among the first suspects, as many and half as
many again as were replaced; and how many suspects there are.
"""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.head import _embed
from training import calibration, label_audit
from training.calibration import softmax
from training.data.split import FOLDS, split, split_by_groups
from training.last_layer import cross_validate, fit_head

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
_MORE = 1.5


def flip(truth: Integers, share: float, seed: int) -> tuple[Integers, Integers]:
    """Return the labels with some of them replaced, and the indices of these."""
    rng = np.random.default_rng(seed)
    flipped = rng.choice(len(truth), round(share * len(truth)), replace=False)
    given = truth.copy()
    given[flipped] += rng.integers(1, truth.max() + 1, len(flipped))
    return given % (truth.max() + 1), flipped


def predict(embeddings: Floats, given: Integers, groups: Integers, seed: int) -> Floats:
    """Return the probabilities (N, K) of each photo by a head that did not learn from it."""
    parts = np.array(split(given, groups, [None] * len(given), seed))
    learnt = np.flatnonzero(parts != "test")
    folds = split_by_groups(given[learnt], groups[learnt], [1.0] * FOLDS, seed)
    validated = cross_validate(embeddings[learnt], given[learnt], folds)
    smoothing = calibration.label_smoothing_for(len(learnt))
    out_of_fold = validated.logits(embeddings[learnt], folds)
    temperature = calibration.fit_temperature(out_of_fold, given[learnt], smoothing)
    logits = fit_head(embeddings[learnt], given[learnt], validated.c).logits(embeddings)
    logits[learnt] = out_of_fold
    return softmax(logits / temperature)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--share", default=0.05, show_default=True)
@click.option("--seeds", default=10, show_default=True)
def main(data: Path, share: float, seeds: int) -> None:
    """Print the table."""
    embeddings, photos, groups = _embed(data)
    labels = sorted({photo.file.label for photo in photos})
    truth = np.array([labels.index(photo.file.label) for photo in photos], np.intp)
    rows = []
    for seed in range(seeds):
        given, flipped = flip(truth, share, seed)
        found = label_audit.suspects(predict(embeddings, given, groups, seed), given)
        order = [each.index for each in found]
        count = len(flipped)
        rows.append(
            [
                len(set(order[: round(factor * count)]) & set(flipped.tolist())) / count
                for factor in (1, _MORE)
            ]
            + [len(found)]
        )
    print(f"{len(truth)} photos, {round(share * len(truth))} labels replaced, {seeds} seeds\n")
    print("| | found among as many | among 1.5 times as many | suspects |")
    print("|---|---|---|---|")
    for name, row in (("mean", np.mean(rows, axis=0)), ("least", np.min(rows, axis=0))):
        print(f"| {name} | {100 * row[0]:.1f} % | {100 * row[1]:.1f} % | {row[2]:.0f} |")


if __name__ == "__main__":
    main()
