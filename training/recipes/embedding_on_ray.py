"""The embeddings of photos on a cluster, by Ray Data: for the recipe `head`, --engine ray.

paths and hashes of photos, some at a time -> workers, which read the files themselves
    -> the same bytes as here -> vision.decode -> vision.resize -> the graph -> embeddings, in order

Every node sees the folder of photos at the same path. A photo that differs there ends the run.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import InputSpec
from app.on_ray.data_map import Workers, map_in_order
from app.runtime.host import available_cores
from app.runtime.session import Session
from training.contracts import Integers, TrainingData
from training.data.photos import LIMITS
from training.errors import DataUnusable
from training.progress import with_progress
from training.recipes.embedding import Embeddings, progress_label

_PHOTOS = 64
"""Photos of an item."""


@dataclass(frozen=True)
class EmbedOnRay:
    """Computes embeddings with these workers; Ray is started. See `Embed`."""

    workers: Workers

    def __call__(
        self, graph: Path, training_data: TrainingData, photos: Integers, *, mirrored: bool = False
    ) -> Embeddings:
        """Return the embeddings (len(photos), D).

        Raises:
            DataUnusable: a node doesn't have the same files.
            BadParameter: a worker can't go on.
        """
        selected = [training_data.examples.photos[photo] for photo in photos]
        items = [
            json.dumps(
                [[str(photo.file.path), photo.sha256] for photo in selected[i : i + _PHOTOS]]
            )
            for i in range(0, len(selected), _PHOTOS)
        ]
        make = MakeEmbeddingWorker(graph.read_bytes(), training_data.input, mirrored)
        results = map_in_order(make, items, self.workers)
        embeddings: Embeddings = np.empty((0, 0), np.float32)
        label = progress_label(mirrored=mirrored)
        for number, embedding in enumerate(with_progress(results, len(selected), label)):
            if not number:
                embeddings = np.empty((len(selected), len(embedding)), np.float32)
            embeddings[number] = embedding
        return embeddings


@dataclass(frozen=True)
class MakeEmbeddingWorker:
    """Makes the worker of a node."""

    graph: bytes
    """The ONNX file."""
    input: InputSpec
    mirrored: bool

    def __call__(self, assigned: dict[str, float]) -> "EmbeddingWorker":
        """Return a worker with these resources."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "backbone.onnx"
            path.write_bytes(self.graph)
            session = Session(path, "cpu", "fp32")
        cores = min(available_cores(), int(assigned.get("CPU") or available_cores()))
        return EmbeddingWorker(session, self.input, cores, mirrored=self.mirrored)


class EmbeddingWorker:
    """The graph of a backbone, and threads.

    Args:
        session: the graph.
        spec: its input.
        cores: the number of threads.
        mirrored: whether left and right are exchanged.
    """

    def __init__(self, session: Session, spec: InputSpec, cores: int, *, mirrored: bool) -> None:
        self._session = session
        self._spec = spec
        self._mirrored = mirrored
        self._threads = ThreadPoolExecutor(max(1, cores))

    def results_of(self, item: str) -> Iterator[Sequence[NDArray[np.float32]]]:
        """Yield the embeddings (D,) of an item's photos.

        Raises:
            DataUnusable: a file is missing, or another one than the command has read.
        """
        yield list(self._threads.map(self._embed, json.loads(item)))

    def _embed(self, photo: tuple[str, str]) -> NDArray[np.float32]:
        path, sha256 = photo
        try:
            data = Path(path).read_bytes()
        except OSError as err:
            raise DataUnusable(
                f"A node can't read {path} ({err.strerror}). Share the folder between all nodes."
            ) from err
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataUnusable(
                f"A node has another {path} than this machine. Share one folder between all nodes, "
                "and leave it unchanged until the run has ended."
            )
        image = vision.resize(vision.decode(data, LIMITS, vision.view_of(self._spec)), self._spec)[
            None
        ]
        pixels = image[:, :, ::-1].copy() if self._mirrored else image
        (embeddings,) = self._session.outputs_of(["embedding"], pixels)
        embedding: NDArray[np.float32] = embeddings[0]
        return embedding
