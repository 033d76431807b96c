"""The last layer, its cross-validation, the familiarity score, and the graph with a new head."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from sklearn.linear_model import LogisticRegression

from training import familiarity, last_layer
from training.calibration import fit_temperature, label_smoothing_for, softmax
from training.data.split import split_by_groups
from training.errors import DataUnusable
from training.onnx_graph.head import replace_head


def _classes(count, photos=40, width=12, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(photos * count) % count
    centres = rng.normal(scale=1.5, size=(count, width))
    return (centres[truth] + rng.normal(size=(len(truth), width)) + 3).astype(np.float32), truth


@pytest.mark.parametrize("count", [2, 3])
def test_the_head_gives_scikit_learns_probabilities(count):
    embeddings, truth = _classes(count)
    fitted = last_layer.fit_head(embeddings, truth, 0.1)
    assert fitted.weight.shape == (count, embeddings.shape[1])
    inputs = (embeddings - embeddings.mean(axis=0)) / embeddings.std()
    expected = LogisticRegression(C=0.1, max_iter=1000, tol=1e-8).fit(inputs, truth)
    assert softmax(fitted.logits(embeddings)) == pytest.approx(
        expected.predict_proba(inputs), abs=1e-3
    )


def test_c_has_the_same_effect_at_any_scale_of_the_embeddings():
    embeddings, truth = _classes(3)
    original = last_layer.fit_head(embeddings, truth, 0.1).logits(embeddings)
    scaled = last_layer.fit_head(embeddings * 100 + 7, truth, 0.1).logits(embeddings * 100 + 7)
    assert softmax(scaled) == pytest.approx(softmax(original), abs=1e-3)


def test_a_photos_label_does_not_change_its_own_out_of_fold_logits():
    embeddings, truth = _classes(2)
    folds = split_by_groups(truth, np.arange(len(truth)), [1.0] * 5, 0)
    before = last_layer.cross_validate(embeddings, truth, folds)
    changed = truth.copy()
    changed[3] = 1 - changed[3]
    after = last_layer.cross_validate(embeddings, changed, folds)
    assert after.c == before.c
    own = folds == folds[3]
    logits, without = (each.logits(embeddings, folds) for each in (after, before))
    assert logits[own] == pytest.approx(without[own], abs=1e-9)
    assert not np.allclose(logits[~own], without[~own])
    assert before.losses[before.c] == min(before.losses.values())


def test_few_photos_without_an_error_give_no_certainty():
    logits, truth = np.array([[3.0, 0.0], [0.0, 3.0]] * 5), np.array([0, 1] * 5)
    temperature = fit_temperature(logits, truth, label_smoothing_for(10))
    assert softmax(logits / temperature).max() == pytest.approx(1 - 1 / 12, abs=1e-6)


def test_prototypes_are_capped_and_of_length_1():
    embeddings, truth = _classes(2, photos=80)
    known = familiarity.prototypes(embeddings, truth, 0, per_class=7)
    assert known.shape == (14, embeddings.shape[1])
    assert np.linalg.norm(known, axis=1) == pytest.approx(1)
    few = familiarity.prototypes(embeddings[:6], truth[:6], 0)
    assert familiarity.score(embeddings[:6], few) == pytest.approx(1)


def test_many_classes_share_a_thousand_prototypes():
    embeddings, truth = _classes(300, photos=4)
    assert len(familiarity.prototypes(embeddings, truth, 0)) == 900


def test_the_threshold_accepts_95_percent_and_unlike_photos_score_lower():
    embeddings, truth = _classes(2, photos=200)
    folds = split_by_groups(truth, np.arange(len(truth)), [1.0] * 5, 0)
    scores = familiarity.out_of_fold(embeddings, truth, folds, 0)
    threshold = familiarity.threshold(scores)
    assert (scores >= threshold).mean() == pytest.approx(0.95, abs=0.01)
    known = familiarity.prototypes(embeddings, truth, 0)
    assert (familiarity.score(-embeddings, known) < threshold).all()


def test_changed_photos_are_fitted_on_but_held_out_with_their_photo():
    rng = np.random.default_rng(3)
    truth = np.arange(40) % 2
    folds = np.arange(40) // 2 % 5
    embeddings = rng.normal(size=(40, 4)) + truth[:, np.newaxis]
    changed = rng.normal(size=(40, 4)) + truth[:, np.newaxis]
    validated = last_layer.cross_validate(embeddings, truth, folds, changed)
    outside = folds != 2
    both = np.concatenate([embeddings[outside], changed[outside]])
    expected = last_layer.fit_head(both, np.tile(truth[outside], 2), validated.c)
    held_out = embeddings[folds == 2]
    actual = validated.logits(embeddings, folds, np.flatnonzero(folds == 2))
    assert actual == pytest.approx(expected.logits(held_out), abs=0.05)
    head = last_layer.fit_head(embeddings, truth, 0.1, changed)
    expected = last_layer.fit_head(np.concatenate([embeddings, changed]), np.tile(truth, 2), 0.1)
    assert (head.weight == expected.weight).all()


@pytest.fixture(scope="module")
def with_new_head(imagenet):
    rng = np.random.default_rng(0)
    head = last_layer.Head(
        rng.normal(size=(3, 1280)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    )
    known = familiarity.prototypes(rng.random((20, 1280)), np.arange(20) % 2, 0)
    pixels = rng.integers(0, 256, (2, 240, 240, 3), np.uint8)
    model = replace_head(imagenet / "model.onnx", head, 1.7, known)
    return model, head, known, pixels


def test_the_graph_with_a_new_head_gives_probabilities_and_familiarity(with_new_head, imagenet):
    model, head, known, pixels = with_new_head
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = ["probabilities", "embedding", "familiarity"]
    probabilities, embedding, score = session.run(names, {"image": pixels})
    assert probabilities == pytest.approx(softmax(head.logits(embedding) / 1.7), abs=1e-5)
    assert score == pytest.approx(familiarity.score(embedding, known), abs=1e-5)
    assert score.shape == (2,)
    before = ort.InferenceSession(imagenet / "model.onnx", providers=["CPUExecutionProvider"])
    assert (before.run(["embedding"], {"image": pixels})[0] == embedding).all()


def test_a_batch_gives_the_results_of_single_photos(with_new_head):
    model, _, _, pixels = with_new_head
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = ["probabilities", "familiarity"]
    batched = session.run(names, {"image": pixels})
    single = [session.run(names, {"image": image[np.newaxis]}) for image in pixels]
    for output, values in enumerate(batched):
        assert np.concatenate([outputs[output] for outputs in single]) == pytest.approx(
            values, abs=1e-5
        )


@pytest.mark.parametrize("other", ["graph", "textbook"])
def test_a_graph_whose_head_cannot_be_replaced_is_refused(tmp_path, request, other, with_new_head):
    model = request.getfixturevalue(other)
    onnx.save(model() if callable(model) else model, tmp_path / "model.onnx")
    with pytest.raises(DataUnusable, match="has no embedding"):
        replace_head(tmp_path / "model.onnx", with_new_head[1], 1.0, with_new_head[2])
