"""What must hold before anything is written.

parity   ONNX Runtime gives what training's own arithmetic gives, on real photos; else nothing is
         written
int8     as accurate as fp32 and faster, on photos that did not calibrate it; else fp32 goes alone
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
"""Largest difference of any probability; what is measured is about 1e-6."""
INT8_MAX_DROP = 0.01
"""Top-1 that int8 may lose against fp32."""
INT8_MIN_IMAGES = 1000
INT8_FEW_IMAGES = 300
"""With so many labelled photos int8 may still ship, where what it loses is surely within the drop:
the upper limit (95 %) of the share of photos that fp32 alone gets right. 300 allow none."""
_CONFIDENCE = 0.95

Probabilities = NDArray[np.floating[Any]]


def probabilities_of(session: Session, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The graph's probabilities (N, K) of uint8 RGB (N, S, S, 3), one image at a time."""
    return np.concatenate([session.run(image[np.newaxis]) for image in pixels])


def check_parity(
    expected: Probabilities,
    given: Probabilities,
    reference: str = "PyTorch",
    allowed: float | None = None,
) -> float:
    """The largest difference between the graph's probabilities and those of `reference`.

    Up to `allowed`; unset: 1e-4.

    Raises:
        GateMissed: it is over the tolerance, or no number.
    """
    difference = float(np.abs(expected - given).max())
    most = PARITY if allowed is None else allowed
    if not difference <= most:
        raise GateMissed(
            f"The exported graph differs from {reference} by {difference:.2g} in a probability; "
            f"{most:g} is allowed, so nothing is written. Compare their layers one by one."
        )
    return difference


@dataclass(frozen=True)
class Int8Result:
    """int8 against fp32 on the same photos."""

    images: int
    labelled: int
    top1_fp32: float
    top1_int8: float
    """Both on the labelled photos."""
    agreement: float
    """Share of all photos that get the same label from both."""
    drop: float
    """Top-1 that int8 loses, over all photos; see `int8_drop`."""
    fp32_ms: float
    int8_ms: float
    """Medians of a run on one thread."""
    speedup: float
    """Median of the paired ratios."""
    lost: int | None = None
    """Photos that fp32 gets right and int8 doesn't, where all have a label."""

    @property
    def is_slower(self) -> bool:
        """Whether int8 gains no time; how accurate it is doesn't matter then."""
        return not self.speedup > 1

    @property
    def misses(self) -> list[str]:
        """Why int8 may not ship; empty where it may."""
        if self.is_slower:
            return [f"it takes {1 / self.speedup:.2f} times as long as fp32"]
        misses = []
        needed = INT8_MIN_IMAGES if self.lost is None else INT8_FEW_IMAGES
        if self.images < needed:
            misses.append(f"it was compared on {self.images} photos, and {needed} are needed")
        elif self.lost is not None and self.images < INT8_MIN_IMAGES:
            limit = upper_limit(self.lost, self.images)
            if limit > INT8_MAX_DROP:
                misses.append(
                    f"it loses {self.lost} of {self.images} photos, which may be "
                    f"{100 * limit:.2f} %, and {100 * INT8_MAX_DROP:.1f} is allowed"
                )
        if not self.drop <= INT8_MAX_DROP:
            misses.append(
                f"it loses {100 * self.drop:.2f} points of top-1, and "
                f"{100 * INT8_MAX_DROP:.1f} is allowed"
            )
        return misses


def compare_int8(
    fp32: Session, int8: Session, pixels: NDArray[np.uint8], truth: NDArray[np.intp]
) -> Int8Result:
    """Run every photo through both graphs, in turn, and compare answers and times.

    Args:
        fp32: the reference.
        int8: the candidate.
        pixels: (N, S, S, 3) uint8 RGB, none of which calibrated the candidate.
        truth: (M,) class indices of the first M photos; the others have no label.
    """
    expected, given, seconds = in_turn(fp32, int8, pixels)
    return int8_result(expected, given, truth, seconds)


def in_turn(
    fp32: Session, int8: Session, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Both graphs' probabilities (N, K) of every photo, and the seconds (N, 2) of their runs."""
    seconds = np.empty((len(pixels), 2))
    rows: tuple[list[Probabilities], list[Probabilities]] = ([], [])
    for index, image in enumerate(pixels):
        for which in (index % 2, 1 - index % 2):  # neither is always second, with a warm cache
            began = time.perf_counter()
            answer = (fp32, int8)[which].run(image[np.newaxis])
            seconds[index, which] = time.perf_counter() - began
            rows[which].append(answer[0])
    return np.stack(rows[0]), np.stack(rows[1]), seconds


def int8_result(
    expected: Probabilities,
    given: Probabilities,
    truth: NDArray[np.intp],
    seconds: NDArray[np.float64],
) -> Int8Result:
    """The comparison of what fp32 and int8 gave.

    Args:
        expected: (N, K) by fp32.
        given: (N, K) by int8.
        truth: (M,) class indices of the first M photos; the others have no label.
        seconds: (T, 2) of runs of fp32 and int8 in turn.
    """
    labelled = slice(len(truth))
    answers, others = expected.argmax(axis=1), given.argmax(axis=1)
    lost = int(((answers[labelled] == truth) & (others[labelled] != truth)).sum())
    return Int8Result(
        images=len(expected),
        labelled=len(truth),
        top1_fp32=float((answers[labelled] == truth).mean()),
        top1_int8=float((others[labelled] == truth).mean()),
        agreement=float((answers == others).mean()),
        drop=int8_drop(expected, given, truth),
        fp32_ms=float(np.median(seconds[:, 0]) * 1000),
        int8_ms=float(np.median(seconds[:, 1]) * 1000),
        speedup=float(np.median(seconds[:, 0] / seconds[:, 1])),
        lost=lost if len(truth) == len(expected) else None,
    )


def upper_limit(count: int, of: int) -> float:
    """The share that `count` in `of` could be at most, with 95 % confidence.

    Clopper and Pearson 1934: the share of which so few would be seen in 5 % of the cases.
    """
    return 1.0 if count == of else float(betaincinv(count + 1, of - count, _CONFIDENCE))


def int8_drop(expected: Probabilities, given: Probabilities, truth: NDArray[np.intp]) -> float:
    """The share of photos that fp32 gets right and int8 doesn't, less the other way round.

    The first photos have a label in `truth`. For one without, what is lost is what fp32 itself
    holds of the two answers: the calibrated probability of its own less that of int8's. So
    agreement costs nothing, a flip between two equally likely breeds next to nothing, and a
    flip away from a sure answer a whole photo; no flip can count as a gain.
    """
    rows = np.arange(len(expected))
    answers, others = expected.argmax(axis=1), given.argmax(axis=1)
    lost = expected[rows, answers] - expected[rows, others]
    count = len(truth)
    lost[:count] = (answers[:count] == truth).astype(float) - (others[:count] == truth)
    return float(lost.mean())
