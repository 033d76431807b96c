"""The parts of a split are recognised by the usual names, and classes aren't taken for parts."""

import pytest

from app.dataset.split_names import find_parts, folders_alike, part_named, suggested_parts
from app.errors import BadParameter


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("train", "train Train TRAIN training training_set Training-Set trainset seg_train"),
        ("train", "train_images train2017 traindata"),
        ("val", "val Val valid validation Validation dev val_set valset validation-data"),
        ("test", "test Test testing test_set testset seg_test Testing test_images"),
        (None, "cat retrain trainer trains bus_train testament valley devil device train1 set"),
        (None, "seg_pred train_test invalid contest"),
    ],
)
def test_a_part_is_recognised_by_its_name(part, names):
    assert {name: part_named(name) for name in names.split()} == dict.fromkeys(names.split(), part)


@pytest.fixture
def tree(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("Train/cat/1.jpg", "Test/cat/2.jpg"), {"train": "Train", "test": "Test"}),
        (
            ("seg_train/seg_train/sea/1.jpg", "seg_test/seg_test/sea/2.jpg", "seg_pred/3.jpg"),
            {"train": "seg_train/seg_train", "test": "seg_test/seg_test"},
        ),
        (
            ("zip/set/training_set/cat/1.jpg", "zip/set/test_set/cat/1.jpg"),
            {"train": "zip/set/training_set", "test": "zip/set/test_set"},
        ),
        (("training/cat/1.jpg",), {"train": "training"}),
        (("training/1.jpg", "bus/1.jpg"), {}),
        (("dev/1.jpg", "test/1.jpg"), {}),
        (("cat/2020/1.jpg",), {}),
    ],
)
def test_parts_are_found_where_they_cannot_be_classes(tree, names, parts):
    data = tree(*names)
    found = {part: path.relative_to(data).as_posix() for part, path in find_parts(data).items()}
    assert found == parts


@pytest.mark.parametrize("names", ["Train train", "val valid", "test testing"])
def test_two_folders_for_one_part_are_rejected(tree, names):
    data = tree("train/cat/1.jpg", *(f"{name}/cat/1.jpg" for name in names.split()))
    with pytest.raises(BadParameter, match="stand for the same part of a split"):
        find_parts(data)


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        ("a/cat/1.jpg a/dog/1.jpg b/cat/1.jpg b/dog/1.jpg", ["a", "b"]),
        ("a/Cat/1.jpg a/dog/1.jpg b/cat/1.jpg b/DOG/1.jpg", ["a", "b"]),
        ("a/cat/1.jpg a/dog/1.jpg a/cow/1.jpg b/cat/1.jpg b/dog/1.jpg", ["a", "b"]),
        ("cat/1.jpg cat/old/1.jpg cat/new/1.jpg dog/old/1.jpg dog/new/1.jpg", []),
        ("cat/old/1.jpg dog/old/1.jpg", []),
        ("a/cat/1.jpg a/dog/1.jpg b/cow/1.jpg b/hen/1.jpg", []),
        ("a/cat/1.jpg a/dog/1.jpg b/1.jpg", []),
    ],
)
def test_folders_with_folders_of_the_same_names_look_like_a_split(tree, names, alike):
    assert [folder.name for folder in folders_alike(tree(*names.split()))] == alike


def test_parts_are_suggested_by_words_or_sizes(tmp_path):
    folders = [tmp_path / name for name in ("photos for training", "my tests")]
    assert suggested_parts(folders, dict.fromkeys(folders, 1)) == {
        "photos for training": "train",
        "my tests": "test",
    }
    folders = [tmp_path / name for name in "abc"]
    sizes = dict(zip(folders, (5, 90, 20), strict=True))
    assert suggested_parts(folders, sizes) == {"b": "train", "c": "val", "a": "test"}
