"""All photos, and for each the head that did not see it.

A test photo is judged by the head that ships, any other by that of its fold, on the embedding that
a graph gives it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Session
from training.calibration import softmax
from training.last_layer import Head
from training.parallel import run_graph

Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictor:
    """A `training.contracts.Judge`."""

    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB."""
    rows: Integers
    """(N,) of `pixels`."""
    embeddings: NDArray[np.float32]
    """(N, D) in fp32."""
    heads: list[Head]
    head_of: Integers
    """(N,) indices of `heads`."""
    temperature: float

    def predict(self, session: Session, of: Integers, label: str) -> NDArray[np.float64]:
        """(M, K) of the photos `of`, from the graph's embeddings; those of fp32 are known."""
        if session.precision == "fp32":
            return self.probabilities(self.embeddings[of], of)
        rows = self.rows[of].tolist()
        (embeddings,) = run_graph(session, ["embedding"], self.pixels, rows, label)
        return self.probabilities(embeddings, of)

    def probabilities(self, embeddings: NDArray[np.float32], of: Integers) -> NDArray[np.float64]:
        """(M, K) of the photos `of`, from their embeddings (M, D)."""
        logits = np.empty((len(of), len(self.heads[0].bias)))
        for number, head in enumerate(self.heads):
            own = self.head_of[of] == number
            logits[own] = head.logits(embeddings[own])
        return softmax(logits / self.temperature)
