"""Pairs of photos whose coarse pictures are similar: of all pairs, or of a graph of neighbours.

    up to INDEXED_FROM photos   every pair is compared: exact, and in the square of their number
    more photos                 the nearest photos of each, by the vector index; where even the
                                last of them is similar, more of them

The graph needs the extra `index`. Without it, or where very many pictures are equal, every pair is
compared, which takes longer.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.errors import BadParameter
from app.vector_index.neighbours import Neighbours, require_faiss
from training.parallel import map_in_order

INDEXED_FROM = 150_000
"""Photos from which the graph is used; docs/experiments.md, 2026-11-29, has the times of both."""
_BLOCK = 512
_FIRST_NEIGHBOURS, _MORE = 16, 8
"""Neighbours of each photo at first; they become so many times more while all are similar."""
_MOST_NEIGHBOURS = 1024
_MOST_EQUAL = 50
"""Equal pictures that the graph may hold. 200 of an embedding hid no other, 400 did."""
_ROUNDING = 0.005
"""The most that a similarity of the graph, which stores fp16, is below the exact one."""

Vectors = NDArray[np.float32]
Pairs = list[tuple[int, int]]
Found = tuple[Pairs, list[float]]
"""Pairs (lower index, higher index), and their correlations."""


def uses_graph(count: int) -> bool:
    """Return whether the pairs of so many photos are those of a graph."""
    if count < INDEXED_FROM:
        return False
    try:
        require_faiss()
    except BadParameter:
        return False
    return True


def similar_pairs(coarse: Vectors, least: float, most: int) -> Iterator[Found]:
    """Yield the pairs of rows of `coarse` (N, D), of length 1, with a correlation of `least`.

    Of each block of photos, those pairs with the highest correlations, at most `most`.
    """

    def similar(start: int) -> Found:
        block = coarse[start : start + _BLOCK]
        correlation = block @ coarse[start:].T
        ones, others = np.nonzero(np.triu(correlation >= least, 1))
        values = correlation[ones, others]
        best = np.argsort(-values, kind="stable")[:most]
        ones, others = ones[best] + start, others[best] + start
        return list(zip(ones.tolist(), others.tolist(), strict=True)), values[best].tolist()

    yield from map_in_order(similar, range(0, len(coarse), _BLOCK), "comparing photos")


def similar_pairs_of_graph(graph: Neighbours, coarse: Vectors, least: float) -> Iterator[Found]:
    """Yield the same pairs, of the photos that the graph holds as its rows; some may be missing."""
    rows, count = np.arange(len(coarse)), _FIRST_NEIGHBOURS
    while len(rows):
        crowded = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            found, similarities = graph.search_each(coarse[block], count + 1)
            crowded.append(block[similarities[:, -1] >= least - _ROUNDING])
            ones = np.repeat(block, found.shape[1])
            others = found.ravel()
            is_pair = (others >= 0) & (others != ones)
            ones, others = ones[is_pair], others[is_pair]
            # exact, since the graph rounds
            values = np.einsum("nd,nd->n", coarse[ones], coarse[others])
            ones, others, values = (each[values >= least] for each in (ones, others, values))
            low, high = np.minimum(ones, others), np.maximum(ones, others)
            yield list(zip(low.tolist(), high.tolist(), strict=True)), values.tolist()
        if count >= min(_MOST_NEIGHBOURS, len(coarse) - 1):
            return
        rows, count = np.concatenate(crowded), min(count * _MORE, len(coarse) - 1)


def nearest(graph: Neighbours, coarse: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    """Return for each photo the most similar other one, and their correlation; -1: none."""
    others, values = [], []
    for start in range(0, len(coarse), _BLOCK):
        block = coarse[start : start + _BLOCK]
        found, _ = graph.search_each(block, 3)
        own = np.arange(start, start + len(block))[:, np.newaxis]
        is_other = (found >= 0) & (found != own)
        correlation = np.einsum("nd,nkd->nk", block, coarse[np.maximum(found, 0)])
        correlation = np.where(is_other, correlation, -1)
        best = correlation.argmax(axis=1)[:, np.newaxis]
        others.append(np.take_along_axis(np.where(is_other, found, -1), best, 1)[:, 0])
        values.append(np.take_along_axis(correlation, best, 1)[:, 0])
    return np.concatenate(others), np.concatenate(values)


def graph_of(coarse: Vectors) -> Neighbours | None:
    """Return the graph of the rows of `coarse`; None: too many are equal, such as blank scans.

    Equal rows link to each other alone, and so hide the others.
    """
    rows = Counter(hash(row.tobytes()) for row in coarse)
    if rows.most_common(1)[0][1] > _MOST_EQUAL:
        return None
    graph = Neighbours.create(coarse.shape[1])
    graph.add(coarse)
    return graph
