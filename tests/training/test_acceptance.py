"""The acceptance threshold keeps the promised precision, or none is returned."""

import numpy as np
import pytest

from training import acceptance
from training.acceptance import Outcomes, best_promise, choose, lower_limit, photos_needed


def outcomes(count, seed, overconfident=False):
    """Return photos whose prediction is right as often as its probability, or less often."""
    rng = np.random.default_rng(seed)
    scores = np.sqrt(rng.uniform(0.25, 1, count)).astype(np.float32)
    right = rng.random(count) < (scores**2 if overconfident else scores)
    return Outcomes(scores, right)


@pytest.mark.parametrize("overconfident", [False, True])
def test_the_promise_is_kept_in_95_of_100_samples(overconfident):
    population = outcomes(100_000, 0, overconfident)
    broken = chosen = 0
    for seed in range(1, 101):
        threshold = choose([outcomes(500, seed, overconfident)], 0.9)
        if threshold is not None:
            accepted, wrong = population.accepted(threshold)
            broken += wrong > 0.1 * accepted
            chosen += 1
    assert chosen >= 30
    assert broken <= 7


def test_with_too_few_photos_nothing_can_be_promised():
    assert photos_needed(0.99) == 299
    right = np.ones(299, bool)
    scores = np.linspace(0.5, 1, 299, dtype=np.float32)
    assert choose([Outcomes(scores, right)], 0.99) == 0
    assert choose([Outcomes(scores[1:], right[1:])], 0.99) is None
    assert best_promise([Outcomes(scores[1:], right[1:])], 0.99) == 0.989


def test_a_threshold_holds_for_every_graph():
    good = Outcomes(np.linspace(0.5, 1, 400, dtype=np.float32), np.ones(400, bool))
    bad = Outcomes(good.scores, good.scores > 0.7)
    assert choose([good], 0.95) == 0
    threshold = choose([good, bad], 0.95)
    assert 0.66 < threshold < 0.7


def test_one_mistake_of_which_the_model_is_sure_does_not_rule_all_out():
    right = np.ones(2000, bool)
    right[-1] = False
    scores = np.linspace(0.5, 1, 2000, dtype=np.float32)
    assert choose([Outcomes(scores, right)], 0.99) is not None


def test_equal_probabilities_are_accepted_together_or_not_at_all():
    scores = np.repeat(np.array([0.6, 1.0], np.float32), 300)
    right = np.concatenate([np.zeros(300, bool), np.ones(300, bool)])
    threshold = choose([Outcomes(scores, right)], 0.95)
    assert threshold is None or 0.6 < threshold <= 1


@pytest.mark.parametrize(("right", "of"), [(0, 10), (5, 10), (10, 10), (98, 100)])
def test_the_lower_limit_is_where_so_many_would_be_right_in_one_case_of_twenty(right, of):
    from scipy.stats import binom

    limit = lower_limit(right, of)
    if right:
        assert binom.sf(right - 1, of, limit) == pytest.approx(0.05)
    assert limit <= right / of


def test_levels_add_up_to_the_level():
    scores = np.linspace(1, 0.5, 1000, dtype=np.float32)
    sizes = acceptance._sizes(1000, 0.95, 0.05)
    assert acceptance._levels(scores, sizes, 0.95, 0.05).sum() == pytest.approx(0.05)
