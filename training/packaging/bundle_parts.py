"""What is known of a finished network -> the parts of bundle.json and of the bundle's folder.

Every recipe ends here: photos and graphs go in; the int8 graph, figures, calibration, golden
photos and the baseline of confidence come out.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import (
    MODEL_CARD,
    MODEL_FILES,
    Baseline,
    Calibration,
    Golden,
    GoldenPhoto,
    InputSpec,
    Label,
    Metrics,
    Precision,
)
from app.runtime.evaluation import accuracy
from app.runtime.session import Session
from training import calibration
from training.calibration import Temperatures
from training.data import photo_files
from training.gates import Int8Result, compare_int8, probabilities_of
from training.int8.quantize import CALIBRATION_PHOTOS, quantize

BASELINE_BINS = 20
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "int8": 0.05}
"""How far a golden photo's probabilities may be off on another machine; DECISIONS.md has why."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Labelled:
    """The photos with a label, as arrays."""

    name: str
    pixels: Pixels
    """(N, S, S, 3) RGB."""
    truth: NDArray[np.intp]
    """(N,) class indices."""
    temperatures: Temperatures


def quantized(
    folder: Path, fp32: Session, labelled: Labelled, others: Sequence[Pixels], seed: int
) -> tuple[Session | None, Int8Result]:
    """The int8 graph in `folder`, or None and no file where it missed a gate; and its comparison.

    Args:
        folder: where the fp32 graph lies and the int8 graph goes.
        fp32: the session of the fp32 graph.
        labelled: some of these give the ranges, the others are compared on.
        others: photos without a label, to compare on too.
        seed: chooses which do what.
    """
    order = np.random.default_rng(seed).permutation(len(labelled.truth))
    count = min(CALIBRATION_PHOTOS, len(order) // 2)
    calibration_set, held_out = np.sort(order[:count]), np.sort(order[count:])
    file = folder / MODEL_FILES["int8"]
    quantize(folder / MODEL_FILES["fp32"], labelled.pixels[calibration_set], file)
    int8 = Session(file, "cpu", "int8")
    pixels = np.concatenate([labelled.pixels[held_out], *others])
    result = compare_int8(fp32, int8, pixels, labelled.truth[held_out])
    if result.misses:
        file.unlink()
        return None, result
    return int8, result


_RANGED: Mapping[Precision, str] = {
    "fp32": "",
    "int8": f"; {CALIBRATION_PHOTOS} of the photos, without labels, gave its ranges",
}


def measure(session: Session, labelled: Labelled) -> Metrics:
    """The figures of one graph; each photo's confidence by its own fold's temperature."""
    given = probabilities_of(session, labelled.pixels)
    rescored = calibration.recalibrate(given, labelled.temperatures)
    return Metrics(
        top1=accuracy.top_k_accuracy(given, labelled.truth, 1),
        top5=accuracy.top_k_accuracy(given, labelled.truth, 5),
        ece=accuracy.calibration_error(rescored, labelled.truth),
        images=len(labelled.truth),
        on=f"{labelled.name}; ECE cross-fitted{_RANGED[session.precision]}",
    )


def calibrated(logits: NDArray[np.float32], labelled: Labelled) -> Calibration:
    """What the temperature is, and what it gains on photos that it was not fitted on."""
    temperatures = labelled.temperatures
    before = calibration.softmax(logits)
    after = calibration.softmax(logits / temperatures.of_photo[:, np.newaxis])
    return Calibration(
        temperature=temperatures.all,
        ece_before=accuracy.calibration_error(before, labelled.truth),
        ece_after=accuracy.calibration_error(after, labelled.truth),
        images=len(labelled.truth),
        on=f"{labelled.name}, cross-fitted: {calibration.FOLDS} folds, each scored with the "
        "temperature of the others",
    )


def record_golden(
    folder: Path,
    files: Sequence[Path],
    sources: Mapping[str, str],
    sessions: Mapping[Precision, Session],
    names: tuple[Label, ...],
    spec: InputSpec,
) -> Golden:
    """Copy the golden photos into the bundle, with what each graph makes of them.

    `sources` says by file name where each comes from.
    """
    (folder / "golden").mkdir()
    for file in files:
        shutil.copyfile(file, folder / "golden" / file.name)
    pixels = photo_files.pixels_of(files, spec)
    given = {which: probabilities_of(session, pixels) for which, session in sessions.items()}
    for which, rows in given.items():
        np.save(folder / "golden" / f"expected.{which}.npy", rows)
    return Golden(
        photos=tuple(
            GoldenPhoto(
                file=f"golden/{file.name}",
                label=names[int(row.argmax())].name,
                source=sources[file.name],
                tolerance={which: TOLERANCE[which] for which in sessions},
            )
            for file, row in zip(files, given["fp32"], strict=True)
        ),
        expected={which: f"golden/expected.{which}.npy" for which in sessions},
    )


def files_in(folder: Path) -> list[str]:
    """What bundle.json vouches for: every file but the model card."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != MODEL_CARD)


def baseline(probabilities: NDArray[np.float32]) -> Baseline:
    """How sure the model is of photos like those it knows."""
    confidence = probabilities.max(axis=1)
    counts, _ = np.histogram(confidence, BASELINE_BINS, (0, 1))
    return Baseline(images=len(confidence), confidence=tuple(counts.tolist()))
