"""Many photos and classes: fits in blocks, mapped pixels, and progress with the time left."""

import tracemalloc

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from training import familiarity, last_layer
from training.calibration import softmax
from training.data.split import split_by_groups
from training.mapped_pixels import release
from training.parallel import map_in_order
from training.progress import time_left


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 4
    embeddings = rng.normal(size=(240, 8)) + 3 * rng.normal(size=(4, 8))[truth] / 2 + 5
    return embeddings.astype(np.float32), truth


@pytest.mark.parametrize("classes", [2, 4])
def test_a_fit_in_blocks_gives_the_same_probabilities(data, monkeypatch, classes):
    embeddings, truth = data[0], data[1] % classes
    folds = split_by_groups(truth, np.arange(240), [1.0] * 5, 0)
    expected = last_layer.cross_validate(embeddings, truth, folds)
    expected_head = last_layer.fit_head(embeddings, truth, 0.1)
    monkeypatch.setattr(last_layer, "_LARGE", 10)
    monkeypatch.setattr(last_layer, "_BLOCK", 7)
    monkeypatch.setattr(last_layer.large_logistic_regression, "_BLOCK_NUMBERS", 100)
    actual = last_layer.cross_validate(embeddings, truth, folds)
    assert actual.c == expected.c
    logits, expected_logits = (each.logits(embeddings, folds) for each in (actual, expected))
    assert softmax(logits) == pytest.approx(softmax(expected_logits), abs=5e-3)
    head = last_layer.fit_head(embeddings, truth, 0.1)
    assert softmax(head.logits(embeddings)) == pytest.approx(
        softmax(expected_head.logits(embeddings)), abs=5e-3
    )


def test_with_very_many_logits_a_fold_is_fitted_on_a_sample_of_each_class(data, monkeypatch):
    embeddings, truth = data
    folds = split_by_groups(truth, np.arange(240), [1.0] * 5, 0)
    monkeypatch.setattr(last_layer, "_LARGE", 10)
    monkeypatch.setattr(last_layer, "_MAX_LOGITS", 200)
    sample = last_layer._sample(np.flatnonzero(folds != 0), truth, 50)
    assert np.bincount(truth[sample]).tolist() == [13, 13, 13, 13]
    assert not (folds[sample] == 0).any()
    validated = last_layer.cross_validate(embeddings, truth, folds)
    assert validated.accuracy > 0.9
    right = validated.logits(embeddings, folds).argmax(axis=1) == truth
    assert validated.accuracy == pytest.approx(right.mean())


def test_a_fit_needs_no_memory_for_each_photo_beside_its_embedding(monkeypatch):
    """Neither a copy of the embeddings, nor a row of logits for each photo."""
    monkeypatch.setattr(last_layer, "_LARGE", 10)
    monkeypatch.setattr(last_layer, "_BLOCK", 100)
    monkeypatch.setattr(familiarity, "_BLOCK", 100)
    monkeypatch.setattr(last_layer.large_logistic_regression, "_BLOCK_NUMBERS", 20_000)
    monkeypatch.setattr(last_layer.large_logistic_regression, "_MAX_STEPS", 3)
    rng, classes, width = np.random.default_rng(0), 50, 200

    def peak(photos):
        truth = np.arange(photos) % classes
        folds = np.arange(photos) // classes % 5
        embeddings = rng.normal(size=(photos, width)).astype(np.float32)
        tracemalloc.start()
        last_layer.cross_validate(embeddings, truth, folds)
        familiarity.out_of_fold(embeddings, truth, folds, 0)
        last_layer.fit_head(embeddings, truth, 0.1)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    added, of_embeddings = peak(9000) - peak(3000), 6000 * width * 4
    assert added < of_embeddings / 3


def test_pages_that_are_given_back_keep_their_content(tmp_path):
    pixels = open_memmap(tmp_path / "pixels.npy", "w+", np.uint8, (3, 64, 64, 3))
    pixels[1] = 7
    release(pixels)
    assert (pixels[1] == 7).all()
    release(np.zeros(3, np.uint8))  # in memory: nothing to give back


def test_items_are_begun_shortly_before_their_results_are_taken():
    begun = []
    results = map_in_order(begun.append, range(10_000), "counting")
    next(results)
    assert len(begun) < 2_000
    assert list(map_in_order(lambda item: item**2, range(300), "squares")) == [
        item**2 for item in range(300)
    ]


@pytest.mark.parametrize(
    ("done", "seconds", "words"),
    [(10, 60, "about 9 minutes left"), (90, 60, "less than a minute left")],
)
def test_the_time_left_is_stated(done, seconds, words):
    assert time_left(done, 100, seconds) == words
