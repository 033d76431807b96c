"""A predictor for the recipe `head`: each photo is predicted by a head that was not fitted on it.

A test photo is predicted by the head of the bundle, any other photo by the head that was fitted
without its fold. Both heads read the embeddings of the session's graph.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Session
from training.calibration import softmax
from training.label_calibration import LabelCalibration
from training.last_layer import Head
from training.parallel import run_graph

Integers = NDArray[np.intp]

_BLOCK = 1024
_MANY = 20_000_000
"""Probabilities from which they are float32."""


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictor:
    """A `training.contracts.HeldOutPredictor`."""

    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB."""
    rows: Integers
    """(N,) the row in `pixels` of each photo."""
    embeddings: NDArray[np.float32]
    """(N, D) in fp32, of the photos in the order of `photos`."""
    photos: Integers
    """(N,) the photos, those of train and val first."""
    heads: list[Head]
    """By fold, the head that was fitted without it; then the head of the bundle."""
    folds: Integers
    """(M,) of train and val, in the order of `photos`."""
    temperature: float

    def predict(
        self, session: Session, photos: Integers, progress_label: str
    ) -> NDArray[np.floating]:
        """Return the probabilities (M, K) of `photos` by the graph's embeddings.

        The embeddings of fp32 are known already, so an fp32 session does not run. Very many
        probabilities are float32.
        """
        if session.precision == "fp32":
            places = np.argsort(self.photos)[photos]
            return self._in_blocks(photos, lambda block: self.embeddings[places[block]])
        rows = self.rows[photos].tolist()
        (embeddings,) = run_graph(session, ["embedding"], self.pixels, rows, progress_label)
        return self.probabilities(embeddings, photos)

    def probabilities(
        self, embeddings: NDArray[np.float32], photos: Integers
    ) -> NDArray[np.floating]:
        """Return the probabilities (M, K) of `photos` by their embeddings (M, D)."""
        return self._in_blocks(photos, embeddings.__getitem__)

    def _in_blocks(
        self, photos: Integers, embeddings_of: Callable[[slice], NDArray[np.float32]]
    ) -> NDArray[np.floating]:
        head_of = np.full(len(self.photos), len(self.heads) - 1, np.intp)
        head_of[self.photos[: len(self.folds)]] = self.folds
        shape = len(photos), len(self.heads[0].bias)
        result = np.empty(shape, np.float32 if shape[0] * shape[1] > _MANY else np.float64)
        for first in range(0, len(photos), _BLOCK):
            block = slice(first, first + _BLOCK)
            embeddings, head_of_photo = embeddings_of(block), head_of[photos[block]]
            logits = np.empty((len(embeddings), shape[1]))
            for index, head in enumerate(self.heads):
                predicted = head_of_photo == index
                logits[predicted] = head.logits(embeddings[predicted])
            result[block] = self.probabilities_of(logits)
        return result

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
