"""The figures of a shadowed version: agreement, differences, latency, cost, disagreements."""

import json

import numpy as np
import pytest

from app.runtime.loaded_model import load_model
from app.runtime.trials.comparison import MAX_DISAGREEMENTS, Comparison
from app.runtime.trials.cost import CostBound


@pytest.fixture
def manifest(make_bundle):
    """Return the manifest of a bundle with other labels."""
    return lambda version, *labels, **more: (
        make_bundle(version=version, labels=labels or ("red", "green", "blue"), **more).manifest
    )


def row(*values):
    return np.array(values, np.float32)


def test_agreement_has_an_interval_and_differences_a_mean(manifest):
    comparison = Comparison(manifest(1), manifest(2))
    for index in range(8):
        comparison.add(row(0.8, 0.1, 0.1), row(0.7, 0.2, 0.1), f"r{index}", 0)
    comparison.add(row(0.8, 0.1, 0.1), row(0.2, 0.7, 0.1), "wrong", 3)
    report = comparison.report()
    assert (report.images, report.agreed, report.agreement) == (9, 8, 8 / 9)
    low, high = report.agreement_interval
    assert low == pytest.approx(0.5175, abs=1e-3)
    assert high == pytest.approx(0.9972, abs=1e-3)
    assert report.mean_difference == pytest.approx((8 * 0.1 + 0.6) / 9, abs=1e-6)
    (one,) = report.disagreements
    assert (one.request_id, one.index) == ("wrong", 3)
    assert one.serving == (("red", pytest.approx(0.8)),)
    assert one.shadow == (("green", pytest.approx(0.7)),)


def test_labels_are_compared_by_name(manifest):
    comparison = Comparison(manifest(1), manifest(2, "blue", "red", "new"))
    comparison.add(row(0.8, 0.1, 0.1), row(0.1, 0.8, 0.1), "same", 0)
    assert comparison.report().agreement == 1
    assert comparison.report().mean_difference == pytest.approx(0.1)
    comparison.add(row(0.8, 0.1, 0.1), row(0.1, 0.1, 0.8), "other", 0)
    report = comparison.report()
    assert report.agreed == 1
    assert report.mean_difference == pytest.approx((0.1 + 0.8) / 2)


def test_the_accepted_labels_of_a_multi_label_model_are_compared(manifest):
    thresholds = {"thresholds": (0.5, 0.5, 0.5)}
    comparison = Comparison(manifest(1, **thresholds), manifest(2, **thresholds))
    comparison.add(row(0.9, 0.8, 0.1), row(0.6, 0.7, 0.4), "same", 0)
    comparison.add(row(0.9, 0.8, 0.1), row(0.9, 0.4, 0.1), "other", 0)
    report = comparison.report()
    assert (report.images, report.agreed) == (2, 1)
    assert [label for label, _ in report.disagreements[0].serving] == ["red", "green"]


def test_only_the_last_disagreements_are_kept(manifest):
    comparison = Comparison(manifest(1), manifest(2))
    for number in range(MAX_DISAGREEMENTS + 5):
        comparison.add(row(0.8, 0.1, 0.1), row(0.1, 0.8, 0.1), f"r{number}", 0)
    kept = comparison.report().disagreements
    assert len(kept) == MAX_DISAGREEMENTS
    assert kept[0].request_id == f"r{MAX_DISAGREEMENTS + 4}"


def test_latency_and_errors_are_reported(manifest):
    comparison = Comparison(manifest(1), manifest(2))
    assert comparison.report().serving_latency is None
    comparison.time_runs(0.01, 0.03)
    comparison.time_runs(0.03, 0.05)
    comparison.fail("The model returned NaN.")
    comparison.drop("busy")
    report = comparison.report()
    assert report.serving_latency.mean_s == pytest.approx(0.02)
    assert report.shadow_latency.p95_s == pytest.approx(0.049)
    assert (report.failed, report.last_error) == (1, "The model returned NaN.")
    assert json.dumps(report.dropped) == '{"busy": 1}'


def test_a_bundle_that_was_loaded_again_keeps_its_comparison(make_bundle):
    first = make_bundle(version=1)
    other = make_bundle(version=2, name="other")
    comparison = Comparison(first.manifest, other.manifest)
    again = load_model(first.folder, "cpu").manifest
    assert again is not first.manifest
    assert comparison.is_of(again, other.manifest)
    assert not comparison.is_of(other.manifest, again)


def test_runs_cost_at_most_their_share_of_the_responses():
    cost = CostBound()
    for _ in range(1000):
        cost.earn(0.02, 0.1)
        if cost.allows_more():
            cost.spend(0.05)
    assert cost.earned_s == pytest.approx(2.0)
    assert 2.2 < cost.spent_s < cost.earned_s + 0.25 + 0.05
