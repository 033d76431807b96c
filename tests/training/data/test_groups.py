"""Photos that a table puts into one group are on one side of the split, and in one fold."""

import numpy as np
import pytest

from training.data.groups import joined, require_spread
from training.data.split import folds, folds_of_classes, split, split_by_groups
from training.errors import DataUnusable


def test_photos_are_connected_by_likeness_and_by_name_and_by_way_of_others():
    look_the_same = np.array([0, 0, 2, 3, 4, 4, 6])
    assert joined(look_the_same, [""] * 7).tolist() == look_the_same.tolist()
    names = ["", "a", "a", "", "b", "", "a"]
    assert joined(look_the_same, names).tolist() == [0, 0, 0, 3, 4, 4, 0]
    names = ["a", "", "a", "b", "b", "", "b"]
    assert joined(look_the_same, names).tolist() == [0, 0, 0, 3, 3, 3, 3]


def test_groups_of_all_classes_are_dealt_evenly():
    """Twenty groups, as of patients, each with photos of three classes."""
    truth, groups = np.tile([0, 0, 1, 2], 20), np.repeat(np.arange(20), 4)
    fold_of = folds(truth, groups, 0)
    assert np.bincount(fold_of).tolist() == [16] * 5
    assert all(len(set(fold_of[groups == group])) == 1 for group in range(20))
    parts = np.array(split(truth, groups, [None] * 80, 0))
    assert [int((parts == part).sum()) for part in ("train", "val", "test")] == [56, 12, 12]


def test_groups_of_several_classes_leave_others_to_fill_the_gaps():
    truth = np.array([0] * 10 + [1] * 30)
    groups = np.array([0] * 5 + [1] * 5 + [0] * 5 + list(range(2, 27)))
    fold_of = split_by_groups(truth, groups, [1.0] * 5, 0)
    assert np.bincount(fold_of[truth == 1]).tolist() == [6] * 5
    assert fold_of[0] != fold_of[5]


def test_a_class_in_one_group_is_rejected():
    truth, groups = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 2, 3])
    has = np.eye(2, dtype=bool)[truth]
    with pytest.raises(DataUnusable, match="The photos of cat are in too few groups"):
        require_spread(has, np.ones(6, bool), groups, ["cat", "dog"])
    with pytest.raises(DataUnusable, match="all its training photos in one group"):
        folds_of_classes(truth, groups, 0)
    require_spread(has, np.ones(6, bool), np.arange(6), ["cat", "dog"])
    assert set(folds_of_classes(truth, np.arange(6), 0)) == {0, 1, 2}
