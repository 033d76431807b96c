"""List the photos of a training run whose labels are probably wrong.

held-out and test predictions -> label_audit -> the report
-> report/suspects.csv, which `--fixes` takes back
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import Precision
from training import label_audit
from training.contracts import Integers, TrainingData, TrainingResult
from training.data import fixes
from training.packaging.promise import HeldOut
from training.report import SuspectPhoto, Suspects
from training.report.proportions import in_proportion

FILE = "report/suspects.csv"


def find(
    training_data: TrainingData,
    trained: TrainingResult,
    held_out: HeldOut,
    test: Mapping[Precision, NDArray[np.floating]],
) -> Suspects:
    """Return the suspects, the most certain first.

    Each photo is predicted by a model that did not learn from it: out of fold for the recipe
    `head`; the others predict val and test alone.
    """
    examples = training_data.examples
    photos: Integers = np.concatenate([trained.held_out, examples.indices_of("test")])
    probabilities = np.concatenate([held_out.probabilities["fp32"], test["fp32"]])
    found = label_audit.suspects(probabilities, examples.truth[photos])
    listed = [
        SuspectPhoto(
            name=examples.photos[photos[each.index]].file.name,
            label=examples.labels[each.label],
            suggested=examples.labels[each.suggested],
            of_label=each.of_label,
            of_suggested=each.of_suggested,
            is_confident=each.is_confident,
            row=examples.photos[photos[each.index]].row,
        )
        for each in found
    ]
    photo_of = {photo.row: photo for photo in examples.photos}
    return Suspects(
        listed,
        len(photos),
        lambda row: in_proportion(training_data.pixels[row], training_data.input, photo_of[row]),
    )


def write(suspects: Sequence[SuspectPhoto], folder: Path) -> None:
    """Write report/suspects.csv into the bundle's folder."""
    file = folder / FILE
    file.parent.mkdir(exist_ok=True)
    with file.open("w", encoding="utf-8", newline="", errors="backslashreplace") as out:
        table = csv.writer(out)  # with its own line ends, it quotes names that hold one
        table.writerow(fixes.HEADER)
        for each in suspects:
            table.writerow(
                [
                    each.name,
                    each.label,
                    each.suggested,
                    f"{each.of_label:.4f}",
                    f"{each.of_suggested:.4f}",
                    "",
                ]
            )


def line(suspects: Suspects) -> str:
    """Return a line for the terminal."""
    count = len(suspects.photos)
    if not count:
        return f"labels: each of {suspects.audited} photos is predicted as its own class"
    first = suspects.photos[0]
    return (
        f"labels: {count} of {suspects.audited} photos are predicted as another class, "
        f"{suspects.confident} of them surely, listed in {FILE}; first {first.name}, rather "
        f"{first.suggested}"
    )
