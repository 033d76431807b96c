"""Photos with a wrong label are found, the most certain first."""

import numpy as np
import pytest

from training.label_audit import suspects


def probabilities(truth, sharpness, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(truth), classes)) + sharpness * np.eye(classes)[truth]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_flipped_labels_come_first_with_the_right_class_suggested():
    truth = np.arange(600) % 3
    given = truth.copy()
    flipped = np.arange(0, 600, 20)
    given[flipped] = (given[flipped] + 1) % 3
    found = suspects(probabilities(truth, 6), given)
    first = {each.index for each in found[: len(flipped) * 3 // 2]}
    assert len(first & set(flipped.tolist())) >= 0.95 * len(flipped)
    right = [each.suggested == truth[each.index] for each in found if each.index in set(flipped)]
    assert np.mean(right) > 0.9
    keys = [(each.is_confident, each.of_suggested - each.of_label) for each in found]
    assert keys == sorted(keys, reverse=True)


def test_a_class_that_the_model_is_less_sure_of_has_a_lower_threshold():
    rows = np.array([[0.99, 0.01], [0.97, 0.03], [0.45, 0.55], [0.4, 0.6], [0.41, 0.59]])
    (only,) = suspects(rows, np.array([0, 0, 1, 1, 0]))
    assert (only.index, only.label, only.suggested, only.is_confident) == (4, 0, 1, True)
    assert (only.of_label, only.of_suggested) == (0.41, 0.59)
    sure = np.array([[0.99, 0.01], [0.97, 0.03], [0.02, 0.98], [0.05, 0.95], [0.41, 0.59]])
    (only,) = suspects(sure, np.array([0, 0, 1, 1, 0]))
    assert not only.is_confident


@pytest.mark.parametrize("photos", [0, 1])
def test_few_photos_have_no_suspects(photos):
    assert suspects(np.full((photos, 2), 0.5), np.zeros(photos, np.intp)) == []


def test_a_class_without_photos_is_never_suggested_confidently():
    rows = np.array([[0.2, 0.1, 0.7], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])
    assert not any(each.is_confident for each in suspects(rows, np.array([0, 0, 1])))
