"""A data folder is listed by names alone, with the split that it gives."""

import os

import pytest

from training.data import layout
from training.errors import DataUnusable


@pytest.fixture
def tree(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if name.endswith("/") else path.write_bytes(b"")
        return layout.scan_folder(tmp_path / "data")

    return make


def test_the_first_folder_is_the_class_and_folders_inside_belong_to_it(tree):
    data = tree("dog/b.jpg", "cat/a.jpg", "cat/old/c.jpg", "empty/", "note.txt", ".git/x", "cat/.x")
    assert [(file.name, file.label, file.part) for file in data.files] == [
        ("cat/a.jpg", "cat", None),
        ("cat/old/c.jpg", "cat", None),
        ("dog/b.jpg", "dog", None),
    ]
    assert (data.labels, data.given) == (("cat", "dog"), ())
    assert (data.empty, data.nested, data.stray) == (("empty",), ("cat/old",), ("note.txt",))


def test_a_given_split_is_recognised_and_files_beside_it_are_stray(tree):
    data = tree("train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "more/x.jpg", "test/y.jpg")
    assert data.given == ("train", "test")
    assert [(file.label, file.part) for file in data.files] == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]
    assert data.stray == ("more", "test/y.jpg")


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (("train/a.jpg", "bus/b.jpg"), ()),
        (("train/cat/a.jpg",), ("train",)),
        (("test/a.jpg", "exam/b.jpg"), ()),
        (("train/cat/a.jpg", "val/cat/b.jpg"), ("train", "val")),
        (("train/cat/a.jpg", "validation/cat/b.jpg"), ("train", "val")),
        (("test/cat/c.jpg", "train/cat/a.jpg", "valid/cat/b.jpg"), ("train", "val", "test")),
        (("valid/a.jpg", "invalid/b.jpg"), ()),
    ],
    ids=[
        "a class called train",
        "train alone",
        "a class called test",
        "train and val",
        "train and validation",
        "all three, valid for val",
        "a class called valid",
    ],
)
def test_a_folder_train_is_a_part_only_where_it_cannot_be_a_class(tree, names, given):
    assert tree(*names).given == given


def test_two_validation_folders_are_rejected(tree):
    with pytest.raises(DataUnusable, match="val/ and valid/ stand beside train/"):
        tree("train/cat/a.jpg", "val/cat/b.jpg", "valid/cat/c.jpg")


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with open(folder + b"/\xe9.jpg", "wb"):
        pass
    (file,) = layout.scan_folder(tmp_path).files
    assert (file.label, file.name) == (r"caf\xe9", r"caf\xe9/\xe9.jpg")
    assert file.path.is_file()


def test_a_path_that_is_no_folder_is_rejected(tmp_path):
    with pytest.raises(DataUnusable, match="is not a folder"):
        layout.scan_folder(tmp_path / "none")
