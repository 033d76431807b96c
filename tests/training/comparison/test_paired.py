"""Tests and intervals of paired shares, against figures that were computed by hand."""

import numpy as np
import pytest

from training.comparison import paired


@pytest.mark.parametrize(
    ("losses", "gains", "mid_p"),
    [(1, 7, 10 / 256), (7, 1, 10 / 256), (0, 0, 1.0), (5, 5, 1.0), (0, 5, 1 / 32)],
)
def test_mcnemar_mid_p(losses, gains, mid_p):
    assert paired.mcnemar_mid_p(losses, gains) == pytest.approx(mid_p)


def test_the_exact_test_of_a_loss_is_a_sign_test():
    assert paired.mcnemar_exact_loss(5, 0) == pytest.approx(1 / 32)
    assert paired.mcnemar_exact_loss(0, 0) == 1
    assert paired.mcnemar_exact_loss(0, 5) == 1


def test_tangos_interval():
    low, high = paired.tango_interval(0, 0, 60)
    assert -low == pytest.approx(paired.Z**2 / (60 + paired.Z**2), abs=1e-6)
    assert high == pytest.approx(-low)
    low, high = paired.tango_interval(3, 12, 100)
    assert low < 0.09 < high
    mirrored = paired.tango_interval(12, 3, 100)
    assert mirrored == pytest.approx((-high, -low))


def test_tangos_interval_covers_the_true_difference():
    rng = np.random.default_rng(0)
    draws = rng.multinomial(80, [0.1, 0.06, 0.84], 1000)
    above = sum(paired.tango_interval(b, c, 80)[0] > -0.04 for b, c, _ in draws.tolist())
    assert 0.06 < above / len(draws) < 0.14


def test_holm_stops_at_the_first_test_that_is_not_significant():
    assert paired.holm([0.001, 0.04, 0.02], 0.05) == [True, True, True]
    assert paired.holm([0.001, 0.04, 0.03], 0.05) == [True, False, False]
    assert paired.holm([], 0.05) == []


def test_a_bootstrap_of_a_mean_has_its_standard_error():
    numbers = np.random.default_rng(1).normal(2, 1, (400, 1))
    means = paired.bootstrap(numbers, lambda sums: sums[:, 0] / 400, 0)
    assert means.mean() == pytest.approx(numbers.mean(), abs=0.01)
    assert means.std() == pytest.approx(numbers.std() / 20, rel=0.1)


def test_photos_needed_are_the_fewest_whose_interval_is_within_the_margin():
    needed = paired.photos_needed(0.05)
    assert (
        paired.tango_interval(0, 0, needed)[0] >= -0.05 > paired.tango_interval(0, 0, needed - 1)[0]
    )
