"""The comparison of libraries for the vector index, on few vectors."""

import numpy as np

from benchmarks import duplicate_candidates, index_precision, vector_index
from training.data import candidates


def test_faiss_finds_what_an_exact_search_finds():
    vectors = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    true = vector_index.exact(vectors, vectors[:60])
    rows = list(vector_index.measure(vector_index.CANDIDATES[0], vectors, vectors[:60], true))
    assert len(rows) == 3
    name, effort, *_, recall, _, _ = (cell.strip() for cell in rows[-1].strip("|").split("|"))
    assert (name, effort) == ("faiss fp16", "128")
    assert float(recall) > 0.97


def test_coarse_pictures_have_the_length_1(tmp_path, photo):
    import zipfile

    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for number in range(3):
            file.writestr(f"{number}.jpg", photo((80 * number, 20, 20), (32, 32)))
    coarse = duplicate_candidates.coarse_pictures(tmp_path / "photos.zip", 3)
    assert coarse.shape == (3, 256)
    assert candidates.uses_graph(len(coarse)) is False


def test_a_search_that_finds_the_same_has_a_recall_of_one():
    vectors = index_precision.unit(np.random.default_rng(0).random((200, 8), np.float32))
    true = vector_index.exact(vectors, vectors[:20])
    assert index_precision.recall(true[:, ::-1], true) == 1
    assert index_precision.recall(true + 1000, true) == 0
    assert index_precision.close_to_last(vectors, vectors[:20], true) >= 1 / vector_index.COUNT
