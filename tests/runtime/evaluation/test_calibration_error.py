"""The expected calibration error."""

import numpy as np
import pytest

from app.runtime.evaluation.calibration_error import calibration_error, expected_calibration_error

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
TRUTH = np.array([0, 2, 2, 1])


def test_calibration_error_by_hand():
    # Two bins: .1 and .4 with one of two correct (.25 against .5); .9 with one of one correct.
    confidences = np.array([0.1, 0.4, 0.9])
    correct = np.array([True, False, True])
    error = expected_calibration_error(confidences, correct, bins=2)
    assert error == pytest.approx(2 / 3 * 0.25 + 1 / 3 * 0.1)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    confidences = np.array([0.0, 0.5, 1.0])
    correct = np.array([False, True, True])
    error = expected_calibration_error(confidences, correct, bins=2)
    assert error == pytest.approx(2 / 3 * 0.25)


def test_the_error_of_probabilities_is_that_of_their_top_1_predictions():
    error = expected_calibration_error(
        np.array([0.7, 0.5, 0.5, 0.6]), np.array([True, False, True, False])
    )
    assert calibration_error(PROBABILITIES, TRUTH) == error
