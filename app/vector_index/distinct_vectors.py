"""Add each different vector once to a graph, however many photos have it.

    vectors (N, D) -> fp16, as the graph stores them -> new ones: added to the graph
                                                     -> `rows`: the graph's row of each photo

Otherwise a few hundred copies of one photo would take all links of each other, and all candidates
of a search, and hide the other photos.
"""

import hashlib
from array import array

import numpy as np
from numpy.typing import NDArray

from app.vector_index.neighbours import Neighbours

_DIGEST_BYTES = 16
_BLOCK = 1024


class DistinctVectors:
    """A graph in which no two rows are equal.

    Args:
        graph: an empty graph, or one that this class has made.
        rows: the graph's row of each photo so far.
    """

    def __init__(self, graph: Neighbours, rows: NDArray[np.int64] | None = None) -> None:
        self.graph = graph
        self.rows = array("q", () if rows is None else rows.tolist())
        """The graph's row of each photo, in the order of the photos."""
        self._row_of: dict[bytes, int] = {}
        for start in range(0, len(graph), _BLOCK):
            block = graph.vectors(start, min(_BLOCK, len(graph) - start))
            for row, key in enumerate(_keys(block), start):
                self._row_of.setdefault(key, row)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add the vectors (N, D) of the next photos, of length 1."""
        new = []
        next_row = len(self.graph)
        for place, key in enumerate(_keys(vectors)):
            row = self._row_of.setdefault(key, next_row)
            if row == next_row:
                new.append(place)
                next_row += 1
            self.rows.append(row)
        if new:
            self.graph.add(vectors[new])


def _keys(vectors: NDArray[np.float32]) -> list[bytes]:
    """Return the same bytes for vectors that the graph stores alike."""
    stored = vectors.astype(np.float16) + np.float16(0)  # -0 becomes 0
    return [hashlib.blake2b(row.tobytes(), digest_size=_DIGEST_BYTES).digest() for row in stored]
