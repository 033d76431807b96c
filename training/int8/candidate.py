"""Make the int8 graph of a bundle, and keep it only if it passes its gate.

    fp32 graph, calibration photos -> int8 graph            quantize
    both graphs, holdout photos    -> Int8Result            gates
    a missed gate, NaN or infinity -> the file is removed, and fp32 ships alone

The callers choose the photos and how they are compared; the steps and the gate are the same for
`hubel train`, `hubel import` and the default model.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import MODEL_FILES
from app.errors import ModelOutputInvalid
from app.runtime.session import Session
from training import gates
from training.gates import INT8_MIN_LABELLED, Int8Result
from training.int8.quantize import CALIBRATION_PHOTOS, quantize

Pixels = NDArray[np.uint8]
Integers = NDArray[np.intp]
Predict = Callable[[Session], NDArray[np.floating]]

TOO_FEW = f"there are fewer than {INT8_MIN_LABELLED} photos to compare it on"
INVALID = "it returns NaN or infinity for a photo"
MAX_HOLDOUT = 2000
"""The largest number of holdout photos; twice what the gate needs."""
_TIMED_PHOTOS = 60
"""Photos on which both graphs are timed before `Comparison.predict` runs."""


class QuantizationFailed(Exception):
    """The graph can't be quantised, or ONNX Runtime can't load the result; `reason` says why."""

    def __init__(self, reason: Exception):
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Comparison:
    """The photos that fp32 and int8 are compared on, and how their predictions are made."""

    pixels: Pixels
    """(R, S, S, 3) RGB."""
    rows: Integers
    """(M,) the row of each holdout photo; none of them calibrated the int8 graph."""
    truth: Integers
    """(M,) class indices of the holdout photos."""
    unlabelled: Sequence[Pixels] = ()
    """More photos (N, S, S, 3), without a label; only where `predict` is None."""
    predict: Predict | None = None
    """Returns probabilities (M, K) of the holdout photos by a model that did not learn from them.
    Since this is slow, both graphs are timed on a few photos first, and a slower int8 is left out
    at once. None: all photos run through both graphs in turn."""

    def run(self, fp32: Session, int8: Session) -> Int8Result:
        """Compare the two graphs."""
        if self.predict is None:
            pixels = np.concatenate([self.pixels[self.rows], *self.unlabelled])
            return gates.compare_int8(fp32, int8, pixels, self.truth)
        few = slice(_TIMED_PHOTOS)
        expected, actual, seconds = gates.run_alternately(fp32, int8, self.pixels[self.rows[few]])
        timed = gates.int8_result(expected, actual, self.truth[few], seconds)
        if timed.is_slower:
            return timed
        return gates.int8_result(self.predict(fp32), self.predict(int8), self.truth, seconds)


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelComparison(Comparison):
    """The comparison of a multi-label model's graphs; `truth` are the strata of the photos."""

    label_matrix: NDArray[np.bool_]
    """(M, K) whether each holdout photo has each label."""
    thresholds: NDArray[np.floating]
    """(K,)."""

    def run(self, fp32: Session, int8: Session) -> Int8Result:
        """Compare the two graphs."""
        rows = self.rows if self.predict is None else self.rows[:_TIMED_PHOTOS]
        expected, actual, seconds = gates.run_alternately(fp32, int8, self.pixels[rows])
        truth = self.label_matrix[: len(rows)]
        timed = gates.int8_label_result(expected, actual, truth, self.thresholds, seconds)
        if self.predict is None or timed.is_slower:
            return timed
        expected, actual = self.predict(fp32), self.predict(int8)
        return gates.int8_label_result(
            expected, actual, self.label_matrix, self.thresholds, seconds
        )


@dataclass(frozen=True, eq=False)
class Candidate:
    """The outcome: a graph that was kept, a comparison that it failed, or neither.

    There is neither if there were too few photos to compare on, or the graph returned NaN.
    """

    session: Session | None
    """None, and no file, where it is left out."""
    result: Int8Result | None
    """None where there were too few photos to compare it on, or its outputs can't be compared."""
    is_timed_only: bool = False
    """True if it was left out for its time before the accuracy was compared."""
    is_invalid: bool = False
    """True if it was left out because it returned NaN or infinity for a photo."""
    obstacle: str | None = None
    """Why the graph can't have an int8 form; None where it may."""

    @property
    def line(self) -> str:
        """The result as one line for the terminal and the report, without a full stop."""
        if self.is_invalid:
            return f"int8 is left out: {INVALID}"
        if self.result is None:
            return f"int8 is left out: {self.obstacle or TOO_FEW}"
        misses = "; ".join(self.result.failures)
        if self.is_timed_only:
            return f"int8 is left out: {misses}"
        verdict = f"; it is left out: {misses}" if misses else ""
        return (
            f"int8 on {self.result.images} photos: it {self.result.loss_or_gain}, "
            f"{self.result.speedup:.2f} times as fast{verdict}"
        )


def sample(photos: Integers, most: int, seed: int) -> Integers:
    """Return at most `most` of the photos, drawn at random, sorted."""
    return np.sort(np.random.default_rng(seed).permutation(photos)[:most])


def split(count: int, seed: int, max_holdout: int | None = None) -> tuple[Integers, Integers]:
    """Split photos 0..count-1 into a calibration set (at most half of them) and a holdout."""
    order = np.random.default_rng(seed).permutation(count)
    calibrating = min(CALIBRATION_PHOTOS, count // 2)
    last = None if max_holdout is None else calibrating + max_holdout
    return np.sort(order[:calibrating]), np.sort(order[calibrating:last])


def make(
    folder: Path,
    fp32: Session,
    calibration_set: Pixels,
    comparison: Comparison,
    *,
    min_holdout: int = 0,
    prepare: bool = False,
    in_float: Collection[str] = (),
) -> Candidate:
    """Quantise the fp32 graph in `folder` and keep the result if it passes its gate.

    Args:
        folder: holds the fp32 graph and receives the int8 graph.
        fp32: the session of the fp32 graph.
        calibration_set: (N, S, S, 3) uint8 RGB, the photos that ranges and roundings come from.
        comparison: the photos that the two graphs are compared on.
        min_holdout: no graph is made if `comparison` has fewer labelled photos.
        prepare: whether ONNX Runtime must fold and infer shapes first, as for an imported graph.
        in_float: names of nodes that stay float.

    Raises:
        QuantizationFailed: the quantizer or ONNX Runtime rejects the graph.
    """
    if len(comparison.rows) < min_holdout:
        return Candidate(None, None)
    file = folder / MODEL_FILES["int8"]
    try:
        quantize(
            folder / MODEL_FILES["fp32"], calibration_set, file, prepare=prepare, in_float=in_float
        )
        int8 = Session(file, "cpu", "int8")
    except Exception as err:  # the quantizer's exceptions have no common base
        file.unlink(missing_ok=True)
        raise QuantizationFailed(err) from err
    return keep_if_it_passes(file, fp32, int8, comparison)


def keep_if_it_passes(
    file: Path, fp32: Session, int8: Session, comparison: Comparison
) -> Candidate:
    """Compare the int8 graph in `file` with fp32, and remove the file if it misses its gate.

    Raises:
        ModelOutputInvalid: fp32 returned NaN or infinity.
    """
    try:
        result = comparison.run(fp32, int8)
    except ModelOutputInvalid as err:
        if err.precision != "int8":
            raise
        file.unlink()
        return Candidate(None, None, is_invalid=True)
    if not result.failures:
        return Candidate(int8, result)
    file.unlink()
    return Candidate(None, result, comparison.predict is not None and result.is_slower)
