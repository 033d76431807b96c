"""The worker of a node without Ray: the same embeddings as here, of the same files alone."""

import json
import pickle

import numpy as np
import pytest

from app.runtime.session import Session
from tests.conftest import COLOURS, jpeg
from training.data.layout import scan_folder
from training.data.photos import read_photos
from training.errors import DataUnusable
from training.parallel import run_graph
from training.recipes.backbone import find_backbone
from training.recipes.embedding_on_ray import MakeEmbeddingWorker


@pytest.fixture
def read(tmp_path):
    """The photos of three colours, their pixels and the backbone."""
    for name in ("red", "green", "blue"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").write_bytes(jpeg(COLOURS[name], (90, 60)))
    backbone = find_backbone("lite0")
    files = scan_folder(tmp_path / "data", None, None, None).files
    photos, _, (pixels,) = read_photos(files, [backbone.input], tmp_path)
    return backbone, photos, pixels


def item_of(photos):
    return json.dumps([[str(photo.file.path), photo.sha256] for photo in photos])


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_worker_has_the_embeddings_that_this_machine_has(read, tmp_path, mirrored):
    backbone, photos, pixels = read
    graph = backbone.graphs(tmp_path)["fp32"]
    make = MakeEmbeddingWorker(graph.read_bytes(), backbone.input, mirrored)
    worker = pickle.loads(pickle.dumps(make))({"CPU": 2.0})
    (embeddings,) = worker.results_of(item_of(photos))
    session = Session(graph, "cpu", "fp32")
    rows = [photo.row for photo in photos]
    (expected,) = run_graph(session, ["embedding"], pixels, rows, "here", mirrored=mirrored)
    np.testing.assert_array_equal(np.stack(embeddings), expected)
    assert len({embedding.tobytes() for embedding in embeddings}) == len(photos)


def test_a_node_with_other_files_is_refused(read, tmp_path):
    backbone, photos, _ = read
    graph = backbone.graphs(tmp_path)["fp32"].read_bytes()
    worker = MakeEmbeddingWorker(graph, backbone.input, False)({"CPU": 1.0})
    item = item_of(photos)
    photos[1].file.path.write_bytes(jpeg(COLOURS["red"], (80, 60)))
    with pytest.raises(DataUnusable, match=r"A node has another .*1\.jpg"):
        list(worker.results_of(item))
    photos[1].file.path.unlink()
    with pytest.raises(DataUnusable, match=r"A node can't read .*1\.jpg"):
        list(worker.results_of(item))
