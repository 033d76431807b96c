"""Estimates follow what is measured, come back to what is configured, and stay within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.engine.estimate import HALF_LIFE_S, MAX_FACTOR, Estimate


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_an_estimate_begins_at_the_configured_value(clock):
    assert Estimate(0.02, 0.1, clock).value == pytest.approx(0.02)


@pytest.mark.parametrize("measured", [0.01, 0.08])
def test_an_estimate_approaches_what_is_measured(clock, measured):
    estimate = Estimate(0.02, 0.1, clock)
    for _ in range(100):
        estimate.observe(measured)
    assert estimate.value == pytest.approx(measured, rel=1e-3)


def test_an_estimate_without_new_measurements_comes_back(clock):
    estimate = Estimate(0.02, 1.0, clock)
    estimate.observe(0.08)
    clock.now += HALF_LIFE_S
    assert estimate.value == pytest.approx(0.04)  # half of the way, as a factor
    clock.now += 20 * HALF_LIFE_S
    assert estimate.value == pytest.approx(0.02, rel=1e-3)


def test_old_measurements_count_for_less_when_a_new_one_comes(clock):
    estimate = Estimate(0.02, 0.5, clock)
    estimate.observe(0.3)
    clock.now += 10 * HALF_LIFE_S
    estimate.observe(0.02)
    assert estimate.value == pytest.approx(0.02, rel=1e-2)


def test_a_new_configured_value_replaces_what_was_measured(clock):
    estimate = Estimate(0.02, 1.0, clock)
    estimate.observe(0.2)
    estimate.configure(0.01)
    assert estimate.value == pytest.approx(0.01)


@given(
    measured=st.lists(st.floats(0, 1e6), min_size=1, max_size=30),
    pauses_s=st.lists(st.floats(0, 1e4), min_size=30, max_size=30),
)
def test_an_estimate_is_bounded_whatever_is_measured(measured, pauses_s):
    clock = Clock()
    estimate = Estimate(0.02, 0.2, clock)
    for value, pause_s in zip(measured, pauses_s, strict=False):
        estimate.observe(value)
        clock.now += pause_s
        assert estimate.value >= 0.02 / MAX_FACTOR * (1 - 1e-9)
        assert estimate.value <= 0.02 * MAX_FACTOR * (1 + 1e-9)
