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
from training.contracts import Outcome, Task
from training.gates import INT8_FEW_IMAGES, Int8Result, in_turn, int8_result
from training.int8.quantize import CALIBRATION_PHOTOS, quantize

TOO_FEW = f"there are fewer than {INT8_FEW_IMAGES} photos to compare it on"
COMPARED = 2000
"""Photos at most; the gate needs half of them."""
_TIMED = 60


def quantized(
    folder: Path, fp32: Session, task: Task, outcome: Outcome
) -> tuple[Session | None, Int8Result | None]:
    """The int8 graph in `folder`, or None and no file where it missed a gate; and its comparison.

    With too few photos nothing is tried, and there is no comparison.

    Args:
        folder: where the fp32 graph lies and the int8 graph goes.
        fp32: the session of the fp32 graph.
        task: the photos, and the seed that chooses which do what.
        outcome: says which may give ranges, and which may be compared on.
    """
    file = folder / MODEL_FILES["int8"]
    result = None
    if outcome.int8 is not None and len(outcome.compared) >= INT8_FEW_IMAGES:
        onnx.save(outcome.int8, file)
        int8, result = _judged(file, fp32, task, outcome, outcome.compared)
        if int8 or result.is_slower:
            return int8, result
    ranged = np.random.default_rng(task.seed).permutation(outcome.ranged)
    ranged = np.sort(ranged[: min(CALIBRATION_PHOTOS, len(ranged) // 2)])
    others = np.setdiff1d(outcome.compared, ranged)
    if len(others) < INT8_FEW_IMAGES:
        return None, result
    quantize(folder / MODEL_FILES["fp32"], task.pixels[task.examples.rows[ranged]], file)
    return _judged(file, fp32, task, outcome, others)


def _judged(
    file: Path, fp32: Session, task: Task, outcome: Outcome, photos: NDArray[np.intp]
) -> tuple[Session | None, Int8Result]:
    """The graph in `file`, or None and no file where it missed a gate; and its comparison."""
    int8 = Session(file, "cpu", "int8")
    rng = np.random.default_rng(task.seed)
    result = _compared(fp32, int8, task, outcome, np.sort(rng.permutation(photos)[:COMPARED]))
    if not result.misses:
        return int8, result
    file.unlink()
    return None, result


def _compared(
    fp32: Session, int8: Session, task: Task, outcome: Outcome, photos: NDArray[np.intp]
) -> Int8Result:
    """The comparison on `photos`; of times alone, on a few of them, where int8 is slower."""
    first, truth = photos[:_TIMED], task.examples.truth
    wanted_few, given_few, seconds = in_turn(fp32, int8, task.pixels[task.examples.rows[first]])
    result = int8_result(wanted_few, given_few, truth[first], seconds)
    if result.is_slower:
        return result
    wanted, given = (
        outcome.judge.answers(session, photos, f"comparing {session.precision}")
        for session in (fp32, int8)
    )
    return int8_result(wanted, given, truth[photos], seconds)


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
