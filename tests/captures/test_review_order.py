"""The order of a review: undecided photos first, and photos that look alike apart."""

import numpy as np
import pytest

from app.captures import Filter, Prediction, database
from app.captures.counts import counts_of
from app.captures.review_order import farthest_first, ordered_ids
from app.captures.sketch import SKETCH_BYTES, cosines, sketch_of


def ids_of(store, order="varied", count=100, **filter):
    with database.reading(store.folder) as connection:
        return ordered_ids(connection, Filter(**filter), order, count)


def confident(share):
    return (Prediction("cat", share),)


def test_a_sketch_keeps_the_cosine_of_features():
    draw = np.random.default_rng(0)
    one, other = draw.standard_normal((2, 1280)).astype(np.float32)
    near = one + 0.5 * other
    sketches = [np.frombuffer(sketch_of(each), np.int8) for each in (one, near, other, 100 * one)]
    found = cosines(np.stack(sketches))
    expected = one @ near / np.linalg.norm(one) / np.linalg.norm(near)
    assert found[0, 1] == pytest.approx(expected, abs=0.2)
    assert found[0, 2] == pytest.approx(0, abs=0.2)
    assert found[0, 3] == pytest.approx(1)
    assert len(sketch_of(one)) == SKETCH_BYTES


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_features_without_a_direction_have_no_sketch(value):
    assert sketch_of(np.full(4, value, np.float32)) is None


def test_the_farthest_photo_is_next_and_of_equally_far_ones_the_earlier():
    angles = np.deg2rad([0, 1, 2, 90, 180, 180])
    likeness = np.cos(angles[:, None] - angles).astype(np.float32)
    order = farthest_first(likeness)
    assert order[:3] == [0, 4, 3]
    assert sorted(order) == list(range(6))
    assert farthest_first(np.zeros((4, 4), np.float32)) == [0, 1, 2, 3]


def test_photos_that_look_alike_are_apart(store, capture, roomy):
    scenes = np.eye(3, 8, dtype=np.float32)
    new = [
        capture(n, features=scenes[n // 4], predictions=confident(0.1 + n / 100)) for n in range(12)
    ]
    ids = store.add(new, roomy)
    order = ids_of(store)
    assert order[0] == ids[0]  # the least confident
    assert sorted(ids.index(id) // 4 for id in order[:3]) == [0, 1, 2]
    assert sorted(order) == ids
    assert ids_of(store, "unsure") == ids
    assert ids_of(store, "newest") == ids[::-1]
    assert ids_of(store, count=5) == order[:5]


def test_photos_that_were_decided_come_last(store, capture, roomy):
    decisions = ("accepted", "unknown", None, "unsure")
    ids = store.add([capture(n, decision=each) for n, each in enumerate(decisions)], roomy)
    order = ids_of(store)
    assert set(order[:2]) == {ids[1], ids[3]}
    assert ids_of(store, decision="unknown") == [ids[1]]


def test_features_of_two_models_are_not_compared(store, capture, roomy):
    alike = np.ones(8, np.float32)
    new = [capture(n, features=alike, model=name) for n, name in enumerate(("a", "a", "b", "b"))]
    ids = store.add(new, roomy)
    order = ids_of(store)
    assert {ids.index(id) // 2 for id in order[:2]} == {0, 1}


def test_beyond_the_first_photos_confidence_gives_the_order(store, capture, roomy, monkeypatch):
    monkeypatch.setattr("app.captures.review_order.VARIED_PHOTOS", 2)
    ids = store.add([capture(n) for n in range(5)], roomy)
    assert ids_of(store) == ids
    store.label(ids[:2], ["cat"])
    assert ids_of(store, label="cat") == ids[:2]
    assert ids_of(store, labelled=False) == ids[2:]


def test_captures_are_counted(store, capture, roomy):
    ids = store.add(
        [capture(n, model="ab"[n % 2], decision=None if n == 3 else "unsure") for n in range(5)],
        roomy,
    )
    store.label(ids[:2], ["dog", "cat"])
    store.label(ids[2:3], [])
    with database.reading(store.folder) as connection:
        everything, of_a = counts_of(connection, None), counts_of(connection, "a")
        assert counts_of(connection, "c").captures == 0
    assert (everything.captures, everything.labelled) == (5, 3)
    assert everything.models == of_a.models == {"a": 3, "b": 2}
    assert everything.decisions == {"unsure": 4}
    assert everything.labels == {"cat": 2, "dog": 2}
    assert (of_a.captures, of_a.labelled, of_a.labels) == (3, 2, {"cat": 1, "dog": 1})
    assert of_a.predicted == {"cat": 3}
