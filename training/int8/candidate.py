"""The int8 graph of a trained network, and whether it may ship.

A recipe may have one of its own; where it has none, or that misses a gate, at most 100 training
photos give another its ranges and roundings. What runs slower than fp32 is left out at once. Else
the two precisions are compared on other photos by answers of what didn't learn from them (`Judge`),
so no photo's answer is firmer than a new photo's.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import MODEL_FILES
from app.runtime.session import Session
from training.contracts import TrainingData, TrainingResult
from training.gates import INT8_FEW_IMAGES, Int8Result, in_turn, int8_result
from training.int8.quantize import CALIBRATION_PHOTOS, quantize

TOO_FEW = f"there are fewer than {INT8_FEW_IMAGES} photos to compare it on"
COMPARED = 2000
"""Photos at most; the gate needs half of them."""
_TIMED = 60


def quantized(
    folder: Path, fp32: Session, training_data: TrainingData, trained: TrainingResult
) -> tuple[Session | None, Int8Result | None]:
    """The int8 graph in `folder`, or None and no file where it missed a gate; and its comparison.

    With too few photos nothing is tried, and there is no comparison.

    Args:
        folder: where the fp32 graph lies and the int8 graph goes.
        fp32: the session of the fp32 graph.
        training_data: the photos, and the seed that chooses which do what.
        trained: says which may give ranges, and which may be compared on.
    """
    file = folder / MODEL_FILES["int8"]
    result = None
    if trained.int8 is not None and len(trained.holdout) >= INT8_FEW_IMAGES:
        onnx.save(trained.int8, file)
        int8, result = _judged(file, fp32, training_data, trained, trained.holdout)
        if int8 or result.is_slower:
            return int8, result
    calibration_set = np.random.default_rng(training_data.seed).permutation(trained.calibration_set)
    calibration_set = np.sort(calibration_set[: min(CALIBRATION_PHOTOS, len(calibration_set) // 2)])
    others = np.setdiff1d(trained.holdout, calibration_set)
    if len(others) < INT8_FEW_IMAGES:
        return None, result
    quantize(
        folder / MODEL_FILES["fp32"],
        training_data.pixels[training_data.examples.rows[calibration_set]],
        file,
    )
    return _judged(file, fp32, training_data, trained, others)


def _judged(
    file: Path,
    fp32: Session,
    training_data: TrainingData,
    trained: TrainingResult,
    photos: NDArray[np.intp],
) -> tuple[Session | None, Int8Result]:
    """The graph in `file`, or None and no file where it missed a gate; and its comparison."""
    int8 = Session(file, "cpu", "int8")
    rng = np.random.default_rng(training_data.seed)
    result = _compared(
        fp32, int8, training_data, trained, np.sort(rng.permutation(photos)[:COMPARED])
    )
    if not result.misses:
        return int8, result
    file.unlink()
    return None, result


def _compared(
    fp32: Session,
    int8: Session,
    training_data: TrainingData,
    trained: TrainingResult,
    photos: NDArray[np.intp],
) -> Int8Result:
    """The comparison on `photos`; of times alone, on a few of them, where int8 is slower."""
    first, truth = photos[:_TIMED], training_data.examples.truth
    wanted_few, given_few, seconds = in_turn(
        fp32, int8, training_data.pixels[training_data.examples.rows[first]]
    )
    result = int8_result(wanted_few, given_few, truth[first], seconds)
    if result.is_slower:
        return result
    expected, given = (
        trained.predictor.predict(session, photos, f"comparing {session.precision}")
        for session in (fp32, int8)
    )
    return int8_result(expected, given, truth[photos], seconds)


def line(result: Int8Result | None) -> str:
    """What came of it, for a terminal and for the report."""
    if result is None:
        return f"int8 is left out: {TOO_FEW}"
    misses = "; ".join(result.misses)
    if result.is_slower:
        return f"int8 is left out: {misses}"
    verdict = f"; it is left out: {misses}" if misses else ""
    return (
        f"int8 on {result.images} photos: drop {100 * result.drop:.2f} points, "
        f"{result.speedup:.2f} times as fast{verdict}"
    )
