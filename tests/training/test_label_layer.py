"""The last layer of a multi-label model, its calibration and its thresholds."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training import label_calibration, label_layer, thresholds
from training.calibration import sigmoid
from training.errors import PromiseUnattainable
from training.recipes.label_thresholds import promised_thresholds


@pytest.fixture(scope="module")
def drawn():
    """Embeddings (300, 12) of photos with three labels, of which one is rare."""
    rng = np.random.default_rng(2)
    truth = rng.random((300, 3)) < [0.5, 0.3, 0.06]
    embeddings = rng.normal(size=(300, 12)) + 1.2 * truth @ rng.normal(size=(3, 12))
    return embeddings.astype(np.float32), truth


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_each_label_is_fitted_as_by_scikit_learn(drawn, c):
    embeddings, truth = drawn
    logits = label_layer.fit(embeddings, truth, c).logits(embeddings)
    mean, scale = embeddings.mean(axis=0), embeddings.std()
    inputs = (embeddings - mean) / scale
    for label in range(3):
        model = LogisticRegression(C=c, tol=1e-8, max_iter=1000).fit(inputs, truth[:, label])
        assert logits[:, label] == pytest.approx(model.decision_function(inputs), abs=2e-2)


def test_a_label_that_no_photo_of_a_fold_has_gets_a_low_probability(drawn):
    embeddings, truth = drawn
    without = truth.copy()
    without[:, 2] = False
    probabilities = sigmoid(label_layer.fit(embeddings, without, 1.0).logits(embeddings))
    assert probabilities[:, 2].max() < 0.1


def test_out_of_fold_logits_are_of_heads_that_did_not_see_the_photo(drawn):
    embeddings, truth = drawn
    folds = np.arange(300) % 5
    found = label_layer.cross_validate(embeddings, truth, folds)
    assert found.c == min(found.losses, key=found.losses.get)
    inside = folds == 3
    expected = found.heads[3].logits(embeddings[inside])
    assert found.logits[inside] == pytest.approx(expected)


def test_calibration_finds_scale_and_offset_of_each_label():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 2))
    truth = rng.random((20_000, 2)) < sigmoid(logits * [0.5, 2.0] + [1.0, -1.0])
    found = label_calibration.fit(logits, truth)
    assert found.scales == pytest.approx([0.5, 2.0], rel=0.05)
    assert found.offsets == pytest.approx([1.0, -1.0], rel=0.1)
    assert label_calibration.mean_ece(found.probabilities(logits), truth) < 0.01


def test_a_calibration_can_be_folded_into_the_head(drawn):
    embeddings, truth = drawn
    head = label_layer.fit(embeddings, truth, 1.0)
    found = label_calibration.fit(head.logits(embeddings), truth)
    folded = sigmoid(found.folded_into(head).logits(embeddings))
    assert folded == pytest.approx(found.probabilities(head.logits(embeddings)), abs=1e-5)


@pytest.mark.parametrize(
    ("scores", "truth", "threshold"),
    [
        pytest.param([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.5, id="separable"),
        pytest.param([0.99, 0.98, 0.9, 0.8], [1, 1, 0, 0], 0.92, id="high"),
        pytest.param([0.4, 0.3, 0.2, 0.1], [1, 1, 0, 0], 0.275, id="low"),
        pytest.param([0.9, 0.7, 0.6, 0.1], [1, 0, 1, 0], 0.475, id="one-mistake"),
        pytest.param([0.9, 0.8], [0, 0], 0.5, id="never"),
        pytest.param([0.9, 0.8], [1, 1], 0.5, id="always"),
        pytest.param([0.7, 0.7, 0.7, 0.1], [1, 0, 1, 0], 0.5, id="ties"),
    ],
)
def test_the_threshold_has_the_best_f1(scores, truth, threshold):
    rows = np.array(scores)[:, np.newaxis]
    found = thresholds.best_f1(rows, np.array(truth, bool)[:, np.newaxis])
    assert found == pytest.approx([threshold])


@pytest.mark.parametrize(
    ("threshold", "band"), [(0.5, (1 / 3, 2 / 3)), (0.1, (0.1, 2 / 3)), (0.95, (1 / 3, 0.95))]
)
def test_the_band_holds_the_threshold(threshold, band):
    assert thresholds.band(threshold) == pytest.approx(band)


def test_a_promise_gives_each_label_its_own_threshold():
    rng = np.random.default_rng(4)
    probabilities = rng.random((3000, 3))
    probabilities[:, 1] **= 0.02  # nearly all are sure
    truth = rng.random((3000, 3)) < probabilities
    truth[:, 2] = rng.random(3000) < 0.5  # no relation
    lines = []
    first, second, third = promised_thresholds(
        probabilities, truth, ("cat", "dog", "bird, big"), 0.95, lines.append
    )
    for column, threshold in ((0, first), (1, second)):
        accepted = probabilities[:, column] >= threshold
        assert truth[accepted, column].mean() >= 0.95
        assert accepted.any()
    assert second < first < third == 1
    assert lines == ["never accepted, since no threshold keeps a precision of 0.95: 'bird, big'"]


def test_a_promise_that_no_label_can_keep_is_one_sentence():
    rows = np.full((20, 1), 0.9)
    with pytest.raises(PromiseUnattainable, match="can't be promised for any label with 20 photos"):
        promised_thresholds(rows, rows > 0, ("cat",), 0.99, print)
