"""The pairs that are compared in detail: the graph of neighbours gives those of all pairs."""

import numpy as np
import pytest

from training.data import candidates, duplicates


@pytest.fixture(scope="module")
def coarse():
    """1,500 vectors; 100 have a similar one, and 60 are all similar to each other."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1500, 64)).astype(np.float32)
    vectors[1000:1100] = vectors[:100] + 0.3 * rng.normal(size=(100, 64))
    vectors[1200:1260] = vectors[200] + 0.3 * rng.normal(size=(60, 64))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def pairs_of(found):
    return {
        pair: value for pairs, values in found for pair, value in zip(pairs, values, strict=True)
    }


def test_the_graph_finds_the_pairs_of_all_pairs(coarse):
    every = pairs_of(candidates.similar_pairs(coarse, 0.8, 10**6))
    graph = candidates.graph_of(coarse)
    found = pairs_of(candidates.similar_pairs_of_graph(graph, coarse, 0.8))
    assert len(every) > 1500  # more than the first neighbours of a photo reach
    assert found.keys() <= every.keys()
    assert len(found) >= 0.999 * len(every)
    assert all(every[pair] == pytest.approx(value, abs=1e-5) for pair, value in found.items())


def test_the_graph_finds_the_nearest_photo_of_each(coarse):
    others, values = candidates.nearest(candidates.graph_of(coarse), coarse)
    every = coarse @ coarse.T
    np.fill_diagonal(every, -1)
    assert (others == every.argmax(axis=1)).mean() >= 0.98
    np.testing.assert_allclose(values, every[np.arange(len(coarse)), others], atol=1e-5)


def test_where_many_pictures_are_equal_every_pair_is_compared(coarse):
    """Their links lead to each other alone, so the graph would hide the other photos."""
    for copies, is_graph in ((50, True), (51, False)):
        equal = np.repeat(coarse[:1], copies - 1, axis=0)
        graph = candidates.graph_of(np.concatenate([coarse, equal]))
        assert (graph is not None) == is_graph


def test_groups_are_the_same_by_the_graph(read_blobs, monkeypatch):
    photos, pixels = read_blobs
    every = duplicates.find(photos, pixels)
    assert len(every.alike) >= 2
    monkeypatch.setattr(candidates, "INDEXED_FROM", 1)
    by_graph = duplicates.find(photos, pixels)
    assert (by_graph.alike, by_graph.exact, by_graph.bound) == (
        every.alike,
        every.exact,
        every.bound,
    )


@pytest.fixture
def read_blobs(tmp_path, blob):
    from app.bundle import InputSpec
    from training.data import layout
    from training.data.photos import read_photos

    for name, content in {
        "a": blob("red", 1),
        "b": blob("red", 1, quality=40),
        "c": blob("red", 2),
        "d": blob("green", 3),
        "e": blob("green", 3, size=70),
    }.items():
        (tmp_path / "data/x").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"data/x/{name}.jpg").write_bytes(content)
    files = layout.scan_folder(tmp_path / "data").files
    photos, _, (pixels,) = read_photos(
        files, [InputSpec(size=128, crop=1.0, resample="box")], tmp_path
    )
    return photos, pixels
