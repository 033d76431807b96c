"""The baseline of a bundle: the model's predictions on the test photos."""

import numpy as np
import pytest

from app.bundle import DecisionRule, LabelDecision, UnknownRule
from training.packaging import measure

ROWS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.05, 0.95]], np.float32)
SCORES = np.array([0.9, 0.9, 0.9, 0.1])
UNKNOWN = UnknownRule(score="familiarity", threshold=0.5, accepts=0.75)


def test_the_baseline_counts_confidence_and_labels():
    baseline = measure.baseline(ROWS)
    assert (baseline.images, baseline.labels, baseline.decisions) == (4, (2, 2), None)
    assert sum(baseline.confidence) == 4


def test_the_labels_of_a_multi_label_model_are_the_accepted_ones():
    assert measure.baseline(ROWS, thresholds=(0.5, 0.3)).labels == (2, 3)


def test_decisions_are_those_of_the_service():
    labels = ("cat", "dog")
    counts = measure.decisions(ROWS, SCORES, UNKNOWN, None, labels)
    assert counts == {"accepted": 2, "unsure": 1, "unknown": 1}
    never = LabelDecision(accept_from=None, coverage=0, photos=2)
    rule = DecisionRule(accept_from=0.5, labels={"dog": never})
    counts = measure.decisions(ROWS, SCORES, UNKNOWN, rule, labels)
    assert counts == {"accepted": 2, "unsure": 1, "unknown": 1}


def test_the_baseline_has_the_mean_the_variance_and_the_effective_dimensions_of_embeddings():
    rng = np.random.default_rng(0)
    spreads = np.array([3, 1, 1, 0], np.float32)
    wide = (5 + rng.normal(size=(4000, 4)) * spreads).astype(np.float32)
    found = measure.baseline(ROWS, embeddings={"fp32": wide, "int8": wide[:3]}).embeddings
    assert found["fp32"].mean == pytest.approx(wide.mean(axis=0), abs=1e-3)
    assert found["fp32"].variance == pytest.approx(11, rel=0.05)
    assert found["fp32"].dimensions == pytest.approx(11**2 / (81 + 1 + 1), rel=0.1)
    assert 1 <= found["int8"].dimensions <= 2


def test_embeddings_that_are_all_the_same_give_no_baseline():
    same = np.ones((4, 3), np.float32)
    assert measure.baseline(ROWS, embeddings={"fp32": same}).embeddings is None
