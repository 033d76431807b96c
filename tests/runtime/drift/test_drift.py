"""Drift: the population stability index, the rolling window, and the status of a model."""

from types import SimpleNamespace

import numpy as np
import pytest

from app.bundle import Baseline, EmbeddingBaseline
from app.runtime.drift import DriftMonitor
from app.runtime.drift.mean_embedding import MeanEmbedding, distance
from app.runtime.drift.monitor import MIN_IMAGES
from app.runtime.drift.stability import (
    MAX_GROUPS,
    chance_limit,
    group_starts,
    grouped,
    population_stability_index,
)
from app.runtime.drift.window import WINDOW_IMAGES, Window

LABELS = ("cat", "dog")
CAT, UNSURE, DOG = (0.97, 0.03), (0.55, 0.45), (0.03, 0.97)
BASELINE = Baseline(
    images=200,
    confidence=(0,) * 11 + (20,) + (0,) * 7 + (180,),
    decisions={"accepted": 180, "unsure": 20, "unknown": 0},
    labels=(110, 90),
)


def model_of(baseline):
    labels = [SimpleNamespace(name=name) for name in LABELS]
    manifest = SimpleNamespace(baseline=baseline, labels=labels, task="single_label")
    embedding = None if baseline is None else (baseline.embeddings or {}).get("fp32")
    return SimpleNamespace(name="pets", version=1, manifest=manifest, embedding_baseline=embedding)


def observe(monitor, model, row, decision, times=1, embedding=None):
    result = SimpleNamespace(
        probabilities=np.array(row, np.float32), decision=decision, embedding=embedding
    )
    for _ in range(times):
        monitor.observe(result, model)


def as_in_training(monitor, model):
    observe(monitor, model, CAT, "accepted", 200)
    observe(monitor, model, DOG, "accepted", 160)
    observe(monitor, model, UNSURE, "unsure", 40)


def test_the_index_is_zero_for_equal_shares_and_that_of_its_definition_otherwise():
    counts = np.array([300_000, 700_000])
    assert population_stability_index(counts, counts // 10) == pytest.approx(0, abs=1e-4)
    index = population_stability_index(counts, np.array([500_000, 500_000]))
    assert index == pytest.approx(0.2 * np.log(5 / 3) - 0.2 * np.log(5 / 7), abs=1e-4)


@pytest.mark.parametrize("bins", [2, 5, 10])
def test_one_sample_in_a_thousand_without_drift_exceeds_chance(bins):
    rng = np.random.default_rng(0)
    expected, actual = (rng.multinomial(n, [1 / bins] * bins, 4000) for n in (400, 1000))
    limit = chance_limit(bins, 400, 1000)
    above = [
        population_stability_index(one, other) > limit
        for one, other in zip(expected, actual, strict=True)
    ]
    assert np.mean(above) < 0.003


def test_many_bins_are_compared_in_groups_of_similar_counts():
    counts = np.arange(1000)
    starts = group_starts(counts)
    sums = grouped(counts, starts)
    assert len(starts) == MAX_GROUPS
    assert sums.sum() == counts.sum()
    assert sums.max() < 1.3 * sums.min()
    assert group_starts(np.array([5, 6, 7])) == [0, 1, 2]


def test_a_bin_with_nearly_all_photos_is_compared_with_the_rest():
    assert group_starts(np.array([0] * 19 + [200])) == [0, 19]
    assert group_starts(np.array([200] + [0] * 19)) == [0, 1]


def test_the_window_forgets_the_oldest_predictions():
    window = Window(3, 2, 20)
    for _ in range(WINDOW_IMAGES):
        window.count(0, [0], 1.0)
    assert window.counted().images == WINDOW_IMAGES
    for _ in range(WINDOW_IMAGES):
        window.count(2, [1], 0.0)
    counted = window.counted()
    assert counted.images == WINDOW_IMAGES
    assert counted.decisions.tolist() == [0, 0, WINDOW_IMAGES]
    assert counted.labels.tolist() == [0, WINDOW_IMAGES]
    assert counted.confidence[0] == WINDOW_IMAGES


def test_photos_like_those_of_training_are_stable_and_others_are_not():
    monitor, model = DriftMonitor(), model_of(BASELINE)
    as_in_training(monitor, model)
    drift = monitor.drift(model)
    assert (drift.status, drift.images) == ("stable", 400)
    assert [each.of for each in drift.statistics] == ["decision", "label", "confidence"]
    observe(monitor, model, UNSURE, "unknown", 400)
    drift = monitor.drift(model)
    assert drift.status == "significant"
    assert all(each.psi > each.limit for each in drift.statistics if each.of != "label")
    assert drift.statistics[1].bins == LABELS


def test_few_predictions_and_no_baseline_have_a_status_of_their_own():
    monitor, model = DriftMonitor(), model_of(BASELINE)
    assert monitor.drift(model).status == "too_few"
    observe(monitor, model, CAT, "accepted", MIN_IMAGES - 1)
    drift = monitor.drift(model)
    assert (drift.status, drift.images, drift.statistics) == ("too_few", MIN_IMAGES - 1, ())
    bare = model_of(None)
    observe(monitor, bare, CAT, "accepted")
    assert monitor.drift(bare).status == "no_baseline"


def test_an_older_baseline_is_compared_by_confidence_alone():
    older = Baseline(images=200, confidence=BASELINE.confidence)
    monitor, model = DriftMonitor(), model_of(older)
    as_in_training(monitor, model)
    assert [each.of for each in monitor.drift(model).statistics] == ["confidence"]


def test_a_bundle_that_is_loaded_again_begins_with_an_empty_window():
    monitor, model = DriftMonitor(), model_of(BASELINE)
    as_in_training(monitor, model)
    again = model_of(BASELINE.model_copy())
    assert monitor.drift(again).images == 0
    observe(monitor, again, CAT, "accepted")
    assert monitor.drift(again).images == 1


EMBEDDING = EmbeddingBaseline(mean=(1.0, 2.0), variance=4.0, dimensions=2.0)
WITH_EMBEDDING = BASELINE.model_copy(update={"embeddings": {"fp32": EMBEDDING}})


def test_the_distance_of_means_is_in_units_of_the_spread_of_single_photos():
    found = distance(EMBEDDING, 10_000, np.array([1.0, 3.0]), 10_000)
    assert found.distance == pytest.approx(0.5)
    assert (found.limit, found.status) == (0.2, "significant")
    assert distance(EMBEDDING, 10_000, np.array([1.0, 2.3]), 10_000).status == "moderate"


def test_one_mean_in_a_thousand_without_drift_exceeds_chance():
    rng = np.random.default_rng(0)
    spreads = np.array([3.0, 1.0, 1.0, 0.5, 0.5])
    variance = float((spreads**2).sum())
    dimensions = variance**2 / float((spreads**4).sum())
    above = []
    for _ in range(2000):
        mean = rng.normal(0, spreads / np.sqrt(30))  # of 30 photos: chance exceeds 0.25
        other = rng.normal(0, spreads / np.sqrt(40))
        baseline = EmbeddingBaseline(
            mean=tuple(mean.tolist()), variance=variance, dimensions=dimensions
        )
        found = distance(baseline, 30, other, 40)
        assert found.limit > 0.25
        above.append(found.status == "significant")
    assert np.mean(above) < 0.006


def test_photos_that_change_without_their_predictions_are_seen_by_their_embedding():
    monitor, model = DriftMonitor(), model_of(WITH_EMBEDDING)
    for row, decision, times in ((CAT, "accepted", 200), (DOG, "accepted", 160)):
        observe(monitor, model, row, decision, times, np.array([1, 2], np.float32))
    observe(monitor, model, UNSURE, "unsure", 40, np.array([1, 2], np.float32))
    drift = monitor.drift(model)
    assert (drift.status, drift.embedding.distance) == ("stable", pytest.approx(0))
    as_before = {each.of: each.psi for each in drift.statistics}
    for row, decision, times in ((CAT, "accepted", 200), (DOG, "accepted", 160)):
        observe(monitor, model, row, decision, times, np.array([3, 2], np.float32))
    observe(monitor, model, UNSURE, "unsure", 40, np.array([3, 2], np.float32))
    drift = monitor.drift(model)
    assert (drift.status, drift.embedding.distance) == ("significant", pytest.approx(0.5))
    assert {each.of: each.psi for each in drift.statistics} == pytest.approx(as_before, abs=0.01)


def test_a_bundle_without_embeddings_in_its_baseline_has_no_distance():
    monitor, model = DriftMonitor(), model_of(BASELINE)
    as_in_training(monitor, model)
    assert monitor.drift(model).embedding is None


def test_old_embeddings_leave_the_window_and_invalid_ones_do_not_enter():
    window = MeanEmbedding(2)
    window.add(np.array([np.nan, 1], np.float32))
    assert window.mean()[1] == 0
    for value in (1, 5):
        for _ in range(WINDOW_IMAGES):
            window.add(np.array([value, -value], np.float32))
    mean, images = window.mean()
    assert images == WINDOW_IMAGES
    assert mean == pytest.approx([5, -5])
