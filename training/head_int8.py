"""The int8 graph of a grafted head, and whether it may ship.

At most 100 training photos give the ranges. On others the two precisions are compared by heads
that didn't see them: a test photo by the head that ships, any other by that of its fold, on the
embedding of each precision. So no photo's answer is firmer than a new photo's would be.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import MODEL_FILES
from app.runtime.session import Session
from training.calibration import softmax
from training.cores import outputs
from training.gates import INT8_FEW_IMAGES, Int8Result, in_turn, int8_result
from training.head import Head
from training.quantize import CALIBRATION_PHOTOS, quantize

TOO_FEW = f"there are fewer than {INT8_FEW_IMAGES} photos to compare it on"
COMPARED = 2000
"""Photos at most; the gate needs half of them."""
_TIMED = 60

Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Judged:
    """All photos, and for each the head that did not see it."""

    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB."""
    rows: Integers
    """(N,) of `pixels`."""
    truth: Integers
    """(N,) class indices."""
    embeddings: NDArray[np.float32]
    """(N, D) in fp32."""
    heads: list[Head]
    head_of: Integers
    """(N,) indices of `heads`."""
    temperature: float

    def probabilities(self, embeddings: NDArray[np.float32], of: Integers) -> NDArray[np.float64]:
        """(M, K) of the photos `of`, from their embeddings (M, D)."""
        logits = np.empty((len(of), len(self.heads[0].bias)))
        for number, head in enumerate(self.heads):
            own = self.head_of[of] == number
            logits[own] = head.logits(embeddings[own])
        return softmax(logits / self.temperature)


def quantized(
    folder: Path, fp32: Session, judged: Judged, learnt: Integers, seed: int
) -> tuple[Session | None, Int8Result | None]:
    """The int8 graph in `folder`, or None and no file where it missed a gate; and its comparison.

    With too few photos nothing is tried, and there is no comparison.

    Args:
        folder: where the fp32 graph lies and the int8 graph goes.
        fp32: the session of the fp32 graph.
        judged: all photos.
        learnt: indices of those that ranges may be taken from.
        seed: chooses them.
    """
    rng = np.random.default_rng(seed)
    ranged = np.sort(rng.permutation(learnt)[: min(CALIBRATION_PHOTOS, len(learnt) // 2)])
    others = np.setdiff1d(np.arange(len(judged.rows)), ranged)
    if len(others) < INT8_FEW_IMAGES:
        return None, None
    file = folder / MODEL_FILES["int8"]
    quantize(folder / MODEL_FILES["fp32"], judged.pixels[judged.rows[ranged]], file)
    int8 = Session(file, "cpu", "int8")
    compared = np.sort(rng.permutation(others)[:COMPARED])
    rows = judged.rows[compared]
    (embeddings,) = outputs(int8, ["embedding"], judged.pixels, rows.tolist(), "comparing int8")
    _, _, seconds = in_turn(fp32, int8, judged.pixels[rows[:_TIMED]])
    result = int8_result(
        judged.probabilities(judged.embeddings[compared], compared),
        judged.probabilities(embeddings, compared),
        judged.truth[compared],
        seconds,
    )
    if result.misses:
        file.unlink()
        return None, result
    return int8, result
