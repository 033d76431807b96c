"""Top-k accuracy, recall and precision."""

import numpy as np
import pytest

from app.runtime.evaluation.accuracy import ClassFigures, per_class, top_k_accuracy

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
TRUTH = np.array([0, 2, 2, 1])


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 1.0), (3, 1.0)])
def test_top_k_counts_images_whose_class_is_among_the_k(k, share):
    assert top_k_accuracy(PROBABILITIES, TRUTH, k) == share


def test_a_class_without_images_has_neither_recall_nor_precision():
    assert per_class(PROBABILITIES, TRUTH) == [
        ClassFigures(0, 1, 1.0, 0.5),
        ClassFigures(1, 1, 0.0, 0.0),
        ClassFigures(2, 2, 0.5, 1.0),
    ]
    assert per_class(PROBABILITIES[:1], TRUTH[:1])[1] == ClassFigures(1, 0, None, None)
