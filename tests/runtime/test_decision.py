"""The decision about a prediction, by the thresholds of bundle.json."""

import numpy as np
import pytest

from app.bundle import DecisionRule, Label, LabelDecision, Manifest
from app.runtime.decision import UnknownScore, decide

LABELS = tuple(Label(name=name) for name in ("cat", "dog", "bird"))


def manifest_with(rule):
    return Manifest.model_construct(labels=LABELS, decision=rule)


@pytest.mark.parametrize(
    ("score", "familiarity", "top1", "decision"),
    [
        ("familiarity", 0.6, 0.67, "accepted"),
        ("familiarity", 0.5, 0.99, "accepted"),
        ("familiarity", 0.6, 0.66, "unsure"),
        ("familiarity", 0.49, 0.99, "unknown"),
        ("familiarity", float("nan"), 0.99, "unknown"),
        ("max_probability", None, 0.49, "unknown"),
        ("max_probability", None, 0.6, "unsure"),
        (None, None, 0.1, None),
    ],
)
def test_the_decision_follows_from_score_and_top_1_probability(score, familiarity, top1, decision):
    value = top1 if score == "max_probability" else familiarity
    unknown = UnknownScore(score, value, 0.5) if score else None
    probabilities = np.array([top1, *[(1 - top1) / 2] * 2], np.float32)
    assert decide(probabilities, unknown, manifest_with(None)) == decision


@pytest.mark.parametrize(
    ("top1", "decision"), [(0.9, "accepted"), (0.8, "accepted"), (0.79, "unsure")]
)
@pytest.mark.parametrize("familiarity", [None, 0.6])
def test_the_acceptance_threshold_of_the_bundle_replaces_two_thirds(top1, decision, familiarity):
    unknown = None if familiarity is None else UnknownScore("familiarity", familiarity, 0.5)
    probabilities = np.array([top1, 1 - top1, 0])
    rule = DecisionRule(accept_from=0.8)
    assert decide(probabilities, unknown, manifest_with(rule)) == decision


def test_an_unknown_photo_is_not_accepted_whatever_its_probability():
    unknown = UnknownScore("familiarity", 0.4, 0.5)
    rule = DecisionRule(accept_from=0.0)
    assert decide(np.array([1.0, 0, 0]), unknown, manifest_with(rule)) == "unknown"


@pytest.mark.parametrize(
    ("probabilities", "decision"),
    [
        ([0.95, 0.05, 0], "accepted"),
        ([0.85, 0.15, 0], "unsure"),
        ([0.0, 1.0, 0], "unsure"),
        ([0.15, 0.1, 0.75], "accepted"),
    ],
    ids=["over its own threshold", "under its own threshold", "never accepted", "the common one"],
)
def test_a_label_may_have_its_own_threshold_or_never_be_accepted(probabilities, decision):
    rule = DecisionRule(
        accept_from=0.7,
        labels={
            "cat": LabelDecision(accept_from=0.9, coverage=0.5, photos=100),
            "dog": LabelDecision(accept_from=None, coverage=0, photos=100),
        },
    )
    manifest = manifest_with(rule)
    assert decide(np.array(probabilities, np.float32), None, manifest) == decision
