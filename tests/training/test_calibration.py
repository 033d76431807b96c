"""The temperature, its cross-fitting, and what smoothed labels change."""

import numpy as np
import pytest

from training.calibration import (
    Temperatures,
    cross_fit,
    fit_temperature,
    label_smoothing_for,
    recalibrate,
    softmax,
)


@pytest.fixture(scope="module")
def overconfident():
    """Logits whose classes were drawn with temperature 2.5, and the classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=4, size=(4000, 6))
    probabilities = softmax(logits / 2.5)
    truth = (probabilities.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    return logits, truth


def test_a_known_temperature_is_recovered(overconfident):
    assert fit_temperature(*overconfident) == pytest.approx(2.5, rel=0.05)


def test_cross_fitting_recovers_it_in_every_fold(overconfident):
    temperatures = cross_fit(*overconfident, seed=1)
    assert temperatures.of_all_photos == pytest.approx(2.5, rel=0.05)
    assert len(np.unique(temperatures.of_photo)) == 5
    assert temperatures.of_photo == pytest.approx(np.full(4000, 2.5), rel=0.06)


def _slope(temperature, logits, truth, label_smoothing):
    """The derivative of the loss by the inverse temperature; it rises, since the loss is convex."""
    targets = np.full(logits.shape, label_smoothing / (logits.shape[1] - 1))
    targets[np.arange(len(truth)), truth] = 1 - label_smoothing
    return ((softmax(logits / temperature) - targets) * logits).sum(axis=1).mean()


@pytest.mark.parametrize("smoothed", [False, True], ids=["as labelled", "smoothed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(10))
def test_the_temperature_is_within_a_millionth_of_the_minimum(seed, dtype, smoothed):
    rng = np.random.default_rng(seed)
    photos, classes = int(rng.integers(50, 500)), int(rng.integers(2, 30))
    truth = rng.integers(0, classes, photos)
    logits = rng.normal(size=(photos, classes)) + 2 * np.eye(classes)[truth]
    logits = (logits * 10 ** rng.uniform(-0.5, 0.5)).astype(dtype)
    label_smoothing = label_smoothing_for(photos) if smoothed else 0.0
    temperature = fit_temperature(logits, truth, label_smoothing)
    exact = logits.astype(np.float64), truth, label_smoothing
    assert 0.05 < temperature < 20
    assert _slope(temperature * (1 - 1e-6), *exact) > 0 > _slope(temperature * (1 + 1e-6), *exact)


def test_a_photos_label_does_not_change_the_temperature_that_scores_it(overconfident):
    logits, truth = (part[:20] for part in overconfident)
    before = cross_fit(logits, truth, seed=1).of_photo
    changed = truth.copy()
    changed[3] = (changed[3] + 1) % 6
    after = cross_fit(logits, changed, seed=1).of_photo
    assert after[3] == before[3]
    assert (after != before).any()


def test_recalibrated_probabilities_equal_those_of_the_logits(overconfident):
    logits = overconfident[0][:50]
    temperatures = Temperatures(2.0, np.linspace(1, 3, 50))
    probabilities = softmax(logits / 2.0).astype(np.float32)
    expected = softmax(logits / temperatures.of_photo[:, np.newaxis])
    assert recalibrate(probabilities, temperatures) == pytest.approx(expected, abs=1e-6)


def test_logits_too_large_for_exp_do_not_overflow():
    assert softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]
    assert fit_temperature(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0])) <= 20


def test_label_smoothing_keeps_photos_without_an_error_from_certainty():
    truth = np.arange(30) % 3
    logits = 2 * np.eye(3)[truth]
    assert fit_temperature(logits, truth) == pytest.approx(0.05, rel=0.01)
    temperatures = cross_fit(logits, truth, seed=0)
    assert (temperatures.of_photo > temperatures.of_all_photos).all()
    assert temperatures.of_all_photos > 0.2
