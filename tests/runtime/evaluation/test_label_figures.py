"""The figures of a multi-label model equal scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from app.runtime.evaluation import label_figures


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(3)
    truth = rng.random((200, 4)) < [0.5, 0.2, 0.05, 0.9]
    scores = np.round(np.clip(0.4 * truth + 0.6 * rng.random((200, 4)), 0, 1), 2)  # with ties
    return scores, scores >= 0.5, truth


def test_figures_of_each_label(drawn):
    scores, accepted, truth = drawn
    for index, figures in enumerate(label_figures.per_label(scores, accepted, truth)):
        mine, actual = accepted[:, index], truth[:, index]
        assert figures.images == actual.sum()
        expected = metrics.average_precision_score(actual, scores[:, index])
        assert figures.average_precision == pytest.approx(expected)
        assert figures.f1 == pytest.approx(metrics.f1_score(actual, mine))
        assert figures.recall == pytest.approx(metrics.recall_score(actual, mine))
        assert figures.precision == pytest.approx(metrics.precision_score(actual, mine))


def test_figures_of_all_labels(drawn):
    scores, accepted, truth = drawn
    overall = label_figures.overall(
        label_figures.per_label(scores, accepted, truth), accepted, truth
    )
    expected = metrics.average_precision_score(truth, scores, average="macro")
    assert overall.mean_average_precision == pytest.approx(expected)
    assert overall.f1_micro == pytest.approx(metrics.f1_score(truth, accepted, average="micro"))
    assert overall.f1_macro == pytest.approx(metrics.f1_score(truth, accepted, average="macro"))
    assert overall.exact == pytest.approx((accepted == truth).all(axis=1).mean())


def test_a_label_that_occurs_nowhere_has_no_figures_and_counts_in_no_mean():
    truth = np.array([[True, False], [False, False]])
    scores = np.array([[0.9, 0.1], [0.1, 0.1]])
    labels = label_figures.per_label(scores, scores >= 0.5, truth)
    assert (labels[1].average_precision, labels[1].f1, labels[1].recall) == (None, None, None)
    overall = label_figures.overall(labels, scores >= 0.5, truth)
    assert (overall.mean_average_precision, overall.f1_macro, overall.exact) == (1, 1, 1)


def test_calibrated_probabilities_have_a_small_error():
    probabilities = np.full((1000, 1), 0.25)
    truth = (np.arange(1000) % 4 == 0)[:, np.newaxis]
    (figures,) = label_figures.per_label(probabilities, probabilities >= 0.5, truth)
    assert figures.ece == pytest.approx(0, abs=1e-9)
