"""Photos are split by class, with near duplicates together and enough in every part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.split import require_enough, small_classes, split, split_by_groups
from training.errors import DataUnusable


@given(
    sizes=st.lists(st.integers(1, 4), min_size=10, max_size=40),
    classes=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_groups_stay_together_and_every_class_is_in_every_part(sizes, classes, seed):
    sizes += [1] * 5 * classes  # five photos of each class without a duplicate
    groups = np.repeat(np.arange(len(sizes)), sizes)
    truth = groups % classes
    parts = np.array(split(truth, groups, [None] * len(truth), seed))
    for group in np.unique(groups):
        assert len(set(parts[groups == group])) == 1
    for label in range(classes):
        assert set(parts[truth == label]) == {"train", "val", "test"}


def test_parts_have_their_shares_of_every_class():
    truth = np.repeat([0, 1], [200, 40])
    parts = np.array(split(truth, np.arange(240), [None] * 240, 0))
    for label, counts in ((0, (140, 30, 30)), (1, (28, 6, 6))):
        own = parts[truth == label]
        assert tuple((own == part).sum() for part in ("train", "val", "test")) == counts


def test_a_seed_fixes_the_split_and_another_changes_it():
    truth, groups = np.arange(60) % 2, np.arange(60)
    first, again, other = (split(truth, groups, [None] * 60, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_given_parts_stay_and_a_missing_part_is_taken_from_train():
    truth, groups = np.arange(60) % 2, np.arange(60)
    given = ["train"] * 40 + ["test"] * 20
    parts = split(truth, groups, given, 0)
    assert parts[40:] == ["test"] * 20
    assert set(parts[:40]) == {"train", "val"}
    assert split(truth, groups, ["train"] * 20 + ["val"] * 20 + ["test"] * 20, 0) == (
        ["train"] * 20 + ["val"] * 20 + ["test"] * 20
    )


def test_folds_are_even_in_every_class():
    truth = np.arange(100) % 2
    folds = split_by_groups(truth, np.arange(100), [1.0] * 5, 0)
    assert np.bincount(folds * 2 + truth).tolist() == [10] * 10


def test_five_near_duplicates_are_one_photo():
    truth, given = np.repeat([0, 1], 5), [None] * 10
    require_enough(truth, np.arange(10), given, ["cat", "dog"])
    with pytest.raises(DataUnusable, match=r"1 of 2 classes have too few .*: dog \(4\)"):
        require_enough(truth, np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8]), given, ["cat", "dog"])


def test_validation_photos_do_not_count_as_training_photos():
    truth, groups = np.repeat([0, 1], 8), np.arange(16)
    enough = (["train"] * 3 + ["val"] * 5) * 2
    require_enough(truth, groups, enough, ["cat", "dog"])
    with pytest.raises(DataUnusable, match=r"3 of them outside a given val/ .*: dog \(2\)"):
        require_enough(truth, groups, [*enough[:8], *["train"] * 2, *["val"] * 6], ["cat", "dog"])


def test_classes_that_differ_in_case_alone_are_rejected():
    with pytest.raises(DataUnusable, match="'Cat', 'cat' differ in case alone"):
        require_enough(np.repeat([0, 1, 2], 5), np.arange(15), [None] * 15, ["Cat", "cat", "dog"])


@pytest.mark.parametrize(
    ("labels", "words"), [(["cat"], "there is only 'cat'"), ([], "two classes")]
)
def test_one_class_is_too_few(labels, words):
    with pytest.raises(DataUnusable, match=words):
        require_enough(np.zeros(9, np.intp), np.arange(9), [None] * 9, labels)


def test_all_small_classes_are_named_at_once_with_what_to_do():
    truth = np.repeat([0, 1, 2], [8, 2, 4])
    groups, given, labels = np.arange(14), [None] * 14, ["cat", "dog", "cow"]
    with pytest.raises(
        DataUnusable, match=r"dog \(2\), cow \(4\)\. Add photos, lower --min-photos"
    ):
        require_enough(truth, groups, given, labels)
    assert small_classes(truth, groups, given, labels, 4) == {"dog": 2}
    assert small_classes(truth, groups, given, labels, 2) == {}


def test_very_many_small_classes_are_counted():
    truth = np.arange(60)
    labels = [f"class {index}" for index in range(60)]
    with pytest.raises(DataUnusable, match=r"60 of 60 classes .* and 40 more\."):
        require_enough(truth, truth, [None] * 60, labels)


def test_photos_of_an_earlier_split_stay_and_new_ones_fill_the_parts():
    truth, groups = np.arange(120) % 2, np.arange(120)
    first = split(truth[:60], groups[:60], [None] * 60, 0)
    grown = split(truth, groups, [None] * 120, 1, [*first, *[None] * 60])
    assert grown[:60] == first
    for label in (0, 1):
        own = [part for part, index in zip(grown, truth, strict=True) if index == label]
        assert [own.count(part) for part in ("train", "val", "test")] == [42, 9, 9]


def test_a_group_that_was_in_two_parts_was_learnt_from():
    truth, groups = np.arange(60) % 2, np.arange(60) // 4  # groups of both classes
    earlier = ["test", "train", None, None] + [None] * 56
    assert split(truth, groups, [None] * 60, 0, earlier)[:4] == ["train"] * 4


@pytest.mark.parametrize(
    ("earlier", "empty"),
    [(["train"] * 20, "test"), (["train", "val"] * 10, "test"), (["train", "test"] * 10, "val")],
)
def test_an_earlier_split_that_leaves_a_part_empty_is_refused(earlier, empty):
    truth, groups = np.arange(20) % 2, np.arange(20)
    with pytest.raises(DataUnusable, match=f"No photo is left for {empty}: 20 of 20 photos keep"):
        split(truth, groups, [None] * 20, 0, earlier)
    new = [*earlier, *[None] * 4]
    parts = split(np.arange(24) % 2, np.arange(24), [None] * 24, 0, new)
    assert parts[:20] == earlier
    assert set(parts) == {"train", "val", "test"}
