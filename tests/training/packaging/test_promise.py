"""The field `decision` of a bundle: thresholds, the promise and what is measured for it."""

import numpy as np
import pytest

from app.bundle import UnknownRule
from training.errors import PromiseUnattainable
from training.packaging import promise
from training.packaging.promise import HeldOut, Promise, decision_rule, require_possible

LABELS = ("cat", "dog", "bird")
FAMILIAR = UnknownRule(score="familiarity", threshold=0.5, accepts=0.95)


def held_out(count=900, classes=3, seed=0, **more):
    """Return photos predicted with calibrated probabilities between 0.5 and 1."""
    rng = np.random.default_rng(seed)
    top = np.sqrt(rng.uniform(0.25, 1, count))
    predicted = rng.integers(0, classes, count)
    probabilities = np.zeros((count, 3))
    probabilities[:] = (1 - top[:, np.newaxis]) / 2
    probabilities[np.arange(count), predicted] = top
    truth = np.where(rng.random(count) < top, predicted, (predicted + 1) % 3)
    fields = {
        "truth": truth,
        "groups": np.arange(count),
        "probabilities": {"fp32": probabilities},
        "familiarity": None,
        "on": "pets",
    }
    return HeldOut(**{**fields, **more})


def test_the_threshold_is_for_the_whole_model():
    rule = decision_rule(held_out(), Promise(0.9), None, LABELS)
    assert (rule.precision, rule.confidence, rule.photos, rule.on) == (0.9, 0.95, 900, "pets")
    assert 0.8 < rule.accept_from < 0.95
    assert rule.labels == {}
    top = held_out().probabilities["fp32"].astype(np.float32).max(axis=1)
    assert rule.coverage == (top >= rule.accept_from).mean()


def test_each_class_with_photos_enough_has_its_own_threshold():
    rule = decision_rule(held_out(), Promise(0.85, per_class=True), None, LABELS)
    assert set(rule.labels) == set(LABELS)
    few = held_out(count=900, classes=2)
    probabilities = few.probabilities["fp32"]
    probabilities[:20] = [0.01, 0.01, 0.98]
    rule = decision_rule(few, Promise(0.85, per_class=True), None, LABELS)
    assert rule.labels["cat"].accept_from > 0.7
    assert rule.threshold_of("bird") is None, "20 photos can't promise 0.85"


def test_by_default_classes_have_their_own_threshold_where_photos_are_plenty():
    assert decision_rule(held_out(900), Promise(0.8), None, LABELS).labels == {}
    rule = decision_rule(held_out(3000), Promise(0.8), None, LABELS)
    assert set(rule.labels) == set(LABELS)
    assert "accepted from the own thresholds of cat, dog, bird: " in promise.summary(rule)
    assert decision_rule(held_out(3000), Promise(0.8, per_class=False), None, LABELS).labels == {}


def test_copies_of_a_photo_count_once():
    photos = held_out(groups=np.repeat(np.arange(450), 2))
    assert decision_rule(photos, Promise(0.85), None, LABELS).photos == 450


def test_unknown_photos_are_not_accepted_and_choose_no_threshold():
    familiarity = np.linspace(0, 1, 900)
    rule = decision_rule(held_out(familiarity=familiarity), Promise(0.85), FAMILIAR, LABELS)
    assert rule.coverage < 0.5
    photos = held_out()
    figures = promise.measure(
        rule, FAMILIAR, LABELS, photos.probabilities["fp32"], familiarity, photos.truth, "pets"
    )
    assert (figures.coverage, figures.photos) == (rule.coverage, 900)


def test_an_unattainable_promise_says_what_is_possible():
    words = r"0.999 can't be promised with 900 photos, .* 2995 are needed .* at most 0.996 is"
    with pytest.raises(PromiseUnattainable, match=words):
        decision_rule(held_out(), Promise(0.999), None, LABELS)
    with pytest.raises(PromiseUnattainable, match=r"too often wrong .* At most 0\.\d+ can be"):
        decision_rule(held_out(), Promise(0.99), None, LABELS)
    require_possible(Promise(0.99), 299)


def test_a_promise_for_very_few_photos_names_none_that_the_option_refuses():
    with pytest.raises(PromiseUnattainable, match=r"lower --accept-precision; at most 0\.549 is"):
        require_possible(Promise(0.6), 5)
    words = r"0.5 can't be promised with 3 photos, .* one group count as one: 5 are needed at least"
    with pytest.raises(PromiseUnattainable, match=words) as refused:
        require_possible(Promise(0.5), 3)
    assert str(refused.value).endswith("confidence. Add photos.")


def test_the_line_says_what_was_promised_and_what_the_test_photos_gave():
    rule = decision_rule(held_out(), Promise(0.9), None, LABELS)
    others = held_out(seed=1)
    figures = promise.measure(
        rule, None, LABELS, others.probabilities["fp32"], None, others.truth, "pets, its test"
    )
    line = promise.summary(rule.model_copy(update={"tested": figures}))
    assert line.startswith("promised: 90 % of the accepted predictions are right (95 % confidence)")
    assert f"of 900 test photos {100 * figures.coverage:.1f} % are accepted" in line
