import numpy as np
import pytest

from training.calibration import Temperatures, cross_fit, fit_temperature, recalibrate, softmax


@pytest.fixture(scope="module")
def sure_logits():
    """Logits whose classes were drawn with temperature 2.5, so that they are too sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=4, size=(4000, 6))
    chances = softmax(logits / 2.5)
    truth = (chances.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    return logits, truth


def test_a_known_temperature_is_found_again(sure_logits):
    assert fit_temperature(*sure_logits) == pytest.approx(2.5, rel=0.05)


def test_cross_fitting_finds_it_in_every_fold(sure_logits):
    temperatures = cross_fit(*sure_logits, seed=1)
    assert temperatures.all == pytest.approx(2.5, rel=0.05)
    assert len(np.unique(temperatures.of_photo)) == 5
    assert temperatures.of_photo == pytest.approx(np.full(4000, 2.5), rel=0.06)


def test_a_photo_has_no_say_in_the_temperature_that_scores_it(sure_logits):
    logits, truth = (part[:20] for part in sure_logits)
    before = cross_fit(logits, truth, seed=1).of_photo
    changed = truth.copy()
    changed[3] = (changed[3] + 1) % 6
    after = cross_fit(logits, changed, seed=1).of_photo
    assert after[3] == before[3]
    assert (after != before).any()


def test_rescoring_probabilities_equals_scoring_logits(sure_logits):
    logits = sure_logits[0][:50]
    temperatures = Temperatures(2.0, np.linspace(1, 3, 50))
    given = softmax(logits / 2.0).astype(np.float32)
    expected = softmax(logits / temperatures.of_photo[:, np.newaxis])
    assert recalibrate(given, temperatures) == pytest.approx(expected, abs=1e-6)


def test_logits_too_large_for_exp_are_no_matter():
    assert softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]
    assert fit_temperature(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0])) <= 20


def test_photos_that_are_all_right_leave_doubt():
    truth = np.arange(30) % 3
    logits = 2 * np.eye(3)[truth]
    assert fit_temperature(logits, truth) == pytest.approx(0.05, rel=0.01)
    temperatures = cross_fit(logits, truth, seed=0)
    assert (temperatures.of_photo > temperatures.all).all()
    assert temperatures.all > 0.2
