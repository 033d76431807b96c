"""The graph that finds the nearest embeddings: an HNSW index of FAISS, by cosine similarity.

    embeddings (N, D) of length 1 -> fp16 -> added to the graph -> a file
    a file -> read into memory -> checked by FAISS -> `search`: rows and similarities

Equal embeddings link only to each other, and would hide all others, so a graph must not hold many
of them. A small graph is searched without its links, which is as fast and finds everything.

The file is never mapped: FAISS checks it once, and a mapped file that is overwritten or cut off
afterwards would end the process.

FAISS is imported on first use, since only services and commands with an index need it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import BadParameter, IndexInvalid, first_line_of

STORAGE = "fp16"
"""How numbers of embeddings are stored; measured in docs/decisions/similar_photos.md."""
_LINKS = 16
"""Links of each photo in the graph, and twice as many in its lowest layer."""
_BUILD_EFFORT = 128
"""Candidates that are kept while a photo is added."""
_SEARCH_EFFORT = 128
"""Candidates that are kept while the nearest photos are searched, at least."""
_EFFORT_PER_RESULT = 2
_EXACT_UP_TO = 5000
"""Rows that are compared with a query about as fast as the links are followed."""
_SAMPLE = 1000
_MOST_HIDDEN = 0.005
"""The share of a sample that a graph may fail to find."""
_NEARLY = 0.005
"""The most by which what is found may be less similar than what is searched for."""

Vectors = NDArray[np.float32]


def require_faiss() -> Any:
    """Return the module `faiss`.

    Raises:
        BadParameter: the extra `index` is not installed.
    """
    try:
        import faiss
    except ImportError as err:
        raise BadParameter(
            "An index needs FAISS. Install it with `pip install hubel[index]`."
        ) from err
    return faiss


def to_unit_length(vectors: Vectors) -> Vectors:
    """Return vectors (..., D) of length 1; a vector of zeros stays one."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


class Neighbours:
    """A graph of embeddings; rows count from 0, in the order in which they were added.

    Args:
        index: the HNSW index of FAISS.
        exact: whether a search compares every row, and ignores the links.
    """

    def __init__(self, index: Any, *, exact: bool = False) -> None:
        self._index = index
        self._storage = require_faiss().downcast_index(index.storage)
        self._exact = exact

    @classmethod
    def create(cls, dimension: int) -> "Neighbours":
        """Return an empty graph for embeddings of `dimension` numbers."""
        faiss = require_faiss()
        index = faiss.IndexHNSWSQ(
            dimension, faiss.ScalarQuantizer.QT_fp16, _LINKS, faiss.METRIC_INNER_PRODUCT
        )
        index.hnsw.efConstruction = _BUILD_EFFORT
        index.is_trained = True  # fp16 has nothing to learn
        return cls(index)

    @classmethod
    def open(cls, path: Path, *, exact: bool = False) -> "Neighbours":
        """Read the graph in a file into memory; later changes of the file don't matter.

        Args:
            path: the file.
            exact: whether a search compares every row, and ignores the links.

        Raises:
            IndexInvalid: it isn't such a file.
        """
        faiss = require_faiss()
        try:
            index = faiss.read_index(str(path))
        except MemoryError as err:
            raise IndexInvalid(
                f"There is too little memory for {path}. Give the process more, or make a smaller "
                "index."
            ) from err
        except RuntimeError as err:
            raise IndexInvalid(
                f"{path} can't be read by FAISS ({first_line_of(err)}). Make the index again."
            ) from err
        if not isinstance(index, faiss.IndexHNSWSQ):
            raise IndexInvalid(f"{path} holds another kind of index. Make it again.")
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise IndexInvalid(f"{path} has another metric. Make the index again.")
        return cls(index, exact=exact)

    def __len__(self) -> int:
        """The number of embeddings."""
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """The numbers of an embedding."""
        return int(self._index.d)

    def add(self, vectors: Vectors) -> None:
        """Add embeddings (N, D) of length 1 as the next rows, on all cores."""
        self._index.hnsw.efConstruction = _BUILD_EFFORT
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def vectors(self, first: int, count: int) -> Vectors:
        """Return the embeddings of `count` rows, of length 1."""
        rows: Vectors = self._index.reconstruct_n(first, count)
        return rows

    def hides_rows(self) -> bool:
        """Return whether the links lead past rows: each of a sample is searched for by itself.

        Another row that is nearly as similar counts as found.
        """
        sample = np.linspace(0, len(self) - 1, min(len(self), _SAMPLE)).astype(np.int64)
        vectors = np.concatenate([self.vectors(row, 1) for row in sample.tolist()])
        found, _ = self._index.search(vectors, 1, params=_effort(1))
        missed = found[:, 0] < np.square(vectors).sum(axis=1) - _NEARLY
        return bool(missed.mean() > _MOST_HIDDEN)

    def search(self, vector: Vectors, count: int) -> tuple[NDArray[np.int64], Vectors]:
        """Return the rows of the nearest embeddings and their similarities, the nearest first.

        Several threads may search at once.

        Args:
            vector: (D,), of any length.
            count: the number of rows; fewer are returned if there are no more.
        """
        rows, similarities = self._search(vector[np.newaxis], min(count, len(self)))
        found = rows[0] >= 0
        return rows[0][found], np.clip(similarities[0][found], -1, 1)

    def search_each(self, vectors: Vectors, count: int) -> tuple[NDArray[np.int64], Vectors]:
        """Return what `search` returns for each of `vectors` (N, D), on all cores.

        Rows and similarities are (N, count); a row is -1 where there are no more.
        """
        rows, similarities = self._search(vectors, count)
        return rows, np.where(rows >= 0, similarities, -1).astype(np.float32)

    def _search(self, vectors: Vectors, count: int) -> tuple[NDArray[np.int64], Vectors]:
        queries = np.ascontiguousarray(to_unit_length(vectors))
        if self._exact or len(self) <= _EXACT_UP_TO:
            similarities, rows = self._storage.search(queries, count)
        else:
            similarities, rows = self._index.search(queries, count, params=_effort(count))
        return rows, similarities

    def save(self, path: Path) -> None:
        """Write the graph to a file."""
        require_faiss().write_index(self._index, str(path))


def _effort(count: int) -> Any:
    """Return the parameters of a search for `count` rows."""
    effort = max(_SEARCH_EFFORT, _EFFORT_PER_RESULT * count)
    return require_faiss().SearchParametersHNSW(efSearch=effort)
