import numpy as np
import pytest

from app.runtime.evaluation.accuracy import (
    ClassFigures,
    calibration_error,
    expected_calibration_error,
    per_class,
    top_k_accuracy,
)

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
TRUTH = np.array([0, 2, 2, 1])


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 1.0), (3, 1.0)])
def test_top_k_counts_images_whose_class_is_among_the_k(k, share):
    assert top_k_accuracy(PROBABILITIES, TRUTH, k) == share


def test_calibration_error_by_hand():
    # Two bins: .1 and .4 with one right of two (.25 against .5), .9 with one right of one.
    confidences = np.array([0.1, 0.4, 0.9])
    correct = np.array([True, False, True])
    error = expected_calibration_error(confidences, correct, bins=2)
    assert error == pytest.approx(2 / 3 * 0.25 + 1 / 3 * 0.1)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    confidences = np.array([0.0, 0.5, 1.0])
    correct = np.array([False, True, True])
    error = expected_calibration_error(confidences, correct, bins=2)
    assert error == pytest.approx(2 / 3 * 0.25)


def test_the_error_of_probabilities_is_that_of_their_answers():
    error = expected_calibration_error(
        np.array([0.7, 0.5, 0.5, 0.6]), np.array([True, False, True, False])
    )
    assert calibration_error(PROBABILITIES, TRUTH) == error


def test_per_class_says_nothing_of_what_was_not_seen():
    assert per_class(PROBABILITIES, TRUTH) == [
        ClassFigures(0, 1, 1.0, 0.5),
        ClassFigures(1, 1, 0.0, 0.0),
        ClassFigures(2, 2, 0.5, 1.0),
    ]
    assert per_class(PROBABILITIES[:1], TRUTH[:1])[1] == ClassFigures(1, 0, None, None)
