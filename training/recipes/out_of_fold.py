"""A predictor for the recipe `head`: each photo is predicted by a head that was not fitted on it.

A test photo is predicted by the head of the bundle, any other photo by the head that was fitted
without its fold. Both heads read the embeddings of the session's graph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Session
from training.calibration import softmax
from training.label_calibration import LabelCalibration
from training.last_layer import Head
from training.parallel import run_graph

Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictor:
    """A `training.contracts.HeldOutPredictor`."""

    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB."""
    rows: Integers
    """(N,) the row in `pixels` of each photo."""
    embeddings: NDArray[np.float32]
    """(N, D) in fp32."""
    heads: list[Head]
    head_of: Integers
    """(N,) the index in `heads` of the head that predicts each photo."""
    temperature: float

    def predict(
        self, session: Session, photos: Integers, progress_label: str
    ) -> NDArray[np.float64]:
        """Return the probabilities (M, K) of `photos` by the graph's embeddings.

        The embeddings of fp32 are known already, so an fp32 session does not run.
        """
        if session.precision == "fp32":
            return self.probabilities(self.embeddings[photos], photos)
        rows = self.rows[photos].tolist()
        (embeddings,) = run_graph(session, ["embedding"], self.pixels, rows, progress_label)
        return self.probabilities(embeddings, photos)

    def probabilities(
        self, embeddings: NDArray[np.float32], photos: Integers
    ) -> NDArray[np.float64]:
        """Return the probabilities (M, K) of `photos` by their embeddings (M, D)."""
        logits = np.empty((len(photos), len(self.heads[0].bias)))
        for index, head in enumerate(self.heads):
            predicted = self.head_of[photos] == index
            logits[predicted] = head.logits(embeddings[predicted])
        return self.probabilities_of(logits)

    def probabilities_of(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probabilities (M, K) of logits (M, K)."""
        return softmax(logits / self.temperature)


@dataclass(frozen=True, eq=False)
class OutOfFoldLabelPredictor(OutOfFoldPredictor):
    """The predictor of a multi-label model, whose labels are calibrated one by one."""

    calibration: LabelCalibration

    def probabilities_of(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probabilities (M, K) of logits (M, K)."""
        return self.calibration.probabilities(logits)
