"""The gates that a bundle must pass before it is written.

parity   on real photos, ONNX Runtime gives the probabilities of the trained network; otherwise
         nothing is written
int8     int8 loses at most one point of top-1 and is faster than fp32, on photos that did not
         calibrate it; otherwise the bundle holds fp32 alone
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from app.runtime.session import Session
from training.errors import GateMissed

PARITY = 1e-4
"""The largest difference allowed in any probability; about 1e-6 is measured."""
INT8_MAX_DROP = 0.01
"""The top-1 accuracy that int8 may lose against fp32."""
INT8_MIN_IMAGES = 1000
INT8_MIN_LABELLED = 300
"""With at least this many photos, all of them labelled, int8 may pass although there are fewer than
INT8_MIN_IMAGES: the upper limit (95 %) of the share of photos that only fp32 gets right must be
within the allowed drop. Of 300 photos not a single one may be lost."""
_CONFIDENCE = 0.95
_SHOWN_POINTS = 0.01
"""The smallest change of top-1 that two decimals show, in points."""

Probabilities = NDArray[np.floating[Any]]


def probabilities_of(session: Session, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the graph's probabilities (N, K) of uint8 RGB (N, S, S, 3), one image at a time."""
    return np.concatenate([session.run(image[np.newaxis]) for image in pixels])


def check_parity(
    expected: Probabilities,
    actual: Probabilities,
    reference: str = "PyTorch",
    allowed: float | None = None,
) -> float:
    """Return the largest difference between the graph's probabilities and the reference's.

    Args:
        expected: (N, K) of the reference.
        actual: (N, K) of the graph.
        reference: the name of the library that computed `expected`.
        allowed: the tolerance. Unset: 1e-4.

    Raises:
        GateMissed: the difference is over the tolerance, or not a number.
    """
    difference = float(np.abs(expected - actual).max())
    tolerance = PARITY if allowed is None else allowed
    if not difference <= tolerance:
        raise GateMissed(
            f"The exported graph differs from {reference} by {difference:.2g} in a probability; "
            f"{tolerance:g} is allowed, so nothing is written. "
            "This is a bug of Hubel: please report it."
        )
    return difference


@dataclass(frozen=True)
class Int8Result:
    """The comparison of int8 with fp32 on the same photos."""

    images: int
    labelled: int
    top1_fp32: float
    top1_int8: float
    """Both accuracies are on the labelled photos."""
    agreement: float
    """The share of all photos that get the same label from both."""
    drop: float
    """The top-1 accuracy that int8 loses over all photos; see `int8_drop`."""
    fp32_ms: float
    int8_ms: float
    """Both times are medians of a run on one thread."""
    speedup: float
    """The median of the paired ratios."""
    lost: int | None = None
    """The number of photos that only fp32 gets right, where all have a label."""
    measure: str = "top-1"
    """The name of the accuracy."""

    @property
    def is_slower(self) -> bool:
        """True if int8 is not faster than fp32, which fails the gate."""
        return not self.speedup > 1

    @property
    def loss_or_gain(self) -> str:
        """The change of top-1 accuracy in words: int8 may also get more photos right."""
        points = 100 * self.drop
        if abs(points) < _SHOWN_POINTS / 2:
            return f"keeps its {self.measure}"
        return f"{'gains' if points < 0 else 'loses'} {abs(points):.2f} points of {self.measure}"

    @property
    def failures(self) -> list[str]:
        """The reasons why int8 fails its gate; empty if it passes."""
        if self.is_slower:
            return [f"it takes {1 / self.speedup:.2f} times as long as fp32"]
        failures = []
        needed = INT8_MIN_IMAGES if self.lost is None else INT8_MIN_LABELLED
        if self.images < needed:
            failures.append(f"it was compared on {self.images} photos, and {needed} are needed")
        elif self.lost is not None and self.images < INT8_MIN_IMAGES:
            limit = upper_limit(self.lost, self.images)
            if limit > INT8_MAX_DROP:
                failures.append(
                    f"it loses {self.lost} of {self.images} photos, which may be "
                    f"{100 * limit:.2f} %, and {100 * INT8_MAX_DROP:.1f} is allowed"
                )
        if not self.drop <= INT8_MAX_DROP:
            failures.append(
                f"it loses {100 * self.drop:.2f} points of {self.measure}, and "
                f"{100 * INT8_MAX_DROP:.1f} is allowed"
            )
        return failures


def compare_int8(
    fp32: Session, int8: Session, pixels: NDArray[np.uint8], truth: NDArray[np.intp]
) -> Int8Result:
    """Run every photo through both graphs in turn, and compare predictions and times.

    Args:
        fp32: the reference.
        int8: the candidate.
        pixels: (N, S, S, 3) uint8 RGB, none of which calibrated the candidate.
        truth: (M,) class indices of the first M photos; the others have no label.
    """
    probabilities_fp32, probabilities_int8, seconds = run_alternately(fp32, int8, pixels)
    return int8_result(probabilities_fp32, probabilities_int8, truth, seconds)


def run_alternately(
    fp32: Session, int8: Session, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return both graphs' probabilities (N, K) of the photos, and the runs' seconds (N, 2)."""
    seconds = np.empty((len(pixels), 2))
    rows: tuple[list[Probabilities], list[Probabilities]] = ([], [])
    for index, image in enumerate(pixels):
        for graph in (index % 2, 1 - index % 2):  # neither is always second, with a warm cache
            began = time.perf_counter()
            probabilities = (fp32, int8)[graph].run(image[np.newaxis])
            seconds[index, graph] = time.perf_counter() - began
            rows[graph].append(probabilities[0])
    return np.stack(rows[0]), np.stack(rows[1]), seconds


def int8_result(
    fp32: Probabilities,
    int8: Probabilities,
    truth: NDArray[np.intp],
    seconds: NDArray[np.float64],
) -> Int8Result:
    """Compare the probabilities of fp32 and int8, and their times.

    Args:
        fp32: (N, K).
        int8: (N, K).
        truth: (M,) class indices of the first M photos; the others have no label.
        seconds: (T, 2) of runs of fp32 and int8 in turn.
    """
    labelled = slice(len(truth))
    labels_fp32, labels_int8 = fp32.argmax(axis=1), int8.argmax(axis=1)
    lost = int(((labels_fp32[labelled] == truth) & (labels_int8[labelled] != truth)).sum())
    return Int8Result(
        images=len(fp32),
        labelled=len(truth),
        top1_fp32=float((labels_fp32[labelled] == truth).mean()),
        top1_int8=float((labels_int8[labelled] == truth).mean()),
        agreement=float((labels_fp32 == labels_int8).mean()),
        drop=int8_drop(fp32, int8, truth),
        fp32_ms=float(np.median(seconds[:, 0]) * 1000),
        int8_ms=float(np.median(seconds[:, 1]) * 1000),
        speedup=float(np.median(seconds[:, 0] / seconds[:, 1])),
        lost=lost if len(truth) == len(fp32) else None,
    )


def int8_label_result(
    fp32: Probabilities,
    int8: Probabilities,
    truth: NDArray[np.bool_],
    thresholds: NDArray[np.floating[Any]],
    seconds: NDArray[np.float64],
) -> Int8Result:
    """Compare the probabilities of a multi-label model's fp32 and int8, and their times.

    A photo is right if exactly its labels are accepted.

    Args:
        fp32: (N, K).
        int8: (N, K).
        truth: (N, K) whether each photo has each label.
        thresholds: (K,) from which the labels are accepted.
        seconds: (T, 2) of runs of fp32 and int8 in turn.
    """
    accepted_fp32, accepted_int8 = fp32 >= thresholds, int8 >= thresholds
    right_fp32 = (accepted_fp32 == truth).all(axis=1)
    right_int8 = (accepted_int8 == truth).all(axis=1)
    return Int8Result(
        images=len(fp32),
        labelled=len(truth),
        top1_fp32=float(right_fp32.mean()),
        top1_int8=float(right_int8.mean()),
        agreement=float((accepted_fp32 == accepted_int8).all(axis=1).mean()),
        drop=float(right_fp32.mean() - right_int8.mean()),
        fp32_ms=float(np.median(seconds[:, 0]) * 1000),
        int8_ms=float(np.median(seconds[:, 1]) * 1000),
        speedup=float(np.median(seconds[:, 0] / seconds[:, 1])),
        lost=int((right_fp32 & ~right_int8).sum()),
        measure="exactly right photos",
    )


def upper_limit(count: int, of: int) -> float:
    """Return the upper confidence limit (95 %) of the share that `count` in `of` estimates.

    Clopper and Pearson 1934: the share at which so few would be observed in 5 % of the cases.
    """
    return 1.0 if count == of else float(betaincinv(count + 1, of - count, _CONFIDENCE))


def int8_drop(fp32: Probabilities, int8: Probabilities, truth: NDArray[np.intp]) -> float:
    """Return the share that only fp32 gets right, minus the share that only int8 gets right.

    The first photos have a label in `truth`. For a photo without one, the loss is estimated from
    fp32's calibrated probabilities: the probability of fp32's label minus that of int8's label. It
    is 0 where both agree, near 0 for two labels that are equally likely, and near 1 where fp32 is
    certain. It is never negative.
    """
    rows = np.arange(len(fp32))
    labels_fp32, labels_int8 = fp32.argmax(axis=1), int8.argmax(axis=1)
    loss_of_photo = fp32[rows, labels_fp32] - fp32[rows, labels_int8]
    count = len(truth)
    loss_of_photo[:count] = (labels_fp32[:count] == truth).astype(float) - (
        labels_int8[:count] == truth
    )
    return float(loss_of_photo.mean())
