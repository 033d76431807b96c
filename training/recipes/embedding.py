"""The embeddings of photos by the graph of a backbone: here on all cores, or on a cluster."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.runtime.session import Session
from training.contracts import Integers, TrainingData
from training.data.examples import Examples
from training.parallel import run_graph

Embeddings = NDArray[np.float32]


class Embed(Protocol):
    """A way to compute embeddings."""

    def __call__(
        self, graph: Path, training_data: TrainingData, photos: Integers, *, mirrored: bool = False
    ) -> Embeddings:
        """Return the embeddings (len(photos), D) of photos, in fp32.

        Args:
            graph: the fp32 graph of a backbone with an embedding.
            training_data: all photos.
            photos: the indices of some.
            mirrored: whether left and right are exchanged.
        """
        ...


def progress_label(*, mirrored: bool) -> str:
    """Return the name of the step."""
    return "embedding mirrored" if mirrored else "embedding photos"


def train_val_first(examples: Examples) -> Integers:
    """Return the indices of all photos, those of train and val first.

    Embeddings in this order have those that a fit reads in one piece, which needs no copy.
    """
    return np.concatenate([examples.indices_of("train", "val"), examples.indices_of("test")])


def embed_here(
    graph: Path, training_data: TrainingData, photos: Integers, *, mirrored: bool = False
) -> Embeddings:
    """Return the embeddings from the pixels that were read; see `Embed`."""
    session = Session(graph, "cpu", "fp32")
    rows = training_data.examples.rows[photos].tolist()
    label = progress_label(mirrored=mirrored)
    names, pixels = ["embedding"], training_data.pixels
    return run_graph(session, names, pixels, rows, label, mirrored=mirrored)[0]
