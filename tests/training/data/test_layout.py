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
    found = tree(
        "dog/b.jpg", "cat/a.jpg", "cat/old/c.jpg", "empty/", "note.txt", ".git/x", "cat/.x"
    )
    assert [(file.name, file.label, file.part) for file in found.files] == [
        ("cat/a.jpg", "cat", None),
        ("cat/old/c.jpg", "cat", None),
        ("dog/b.jpg", "dog", None),
    ]
    assert (found.labels, found.given) == (("cat", "dog"), ())
    assert (found.empty, found.nested, found.stray) == (("empty",), ("cat/old",), ("note.txt",))


def test_a_given_split_is_seen_and_what_lies_beside_it_is_stray(tree):
    found = tree("train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "more/x.jpg", "test/y.jpg")
    assert found.given == ("train", "test")
    assert [(file.label, file.part) for file in found.files] == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]
    assert found.stray == ("more", "test/y.jpg")


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
def test_train_is_a_part_only_where_no_class_can_be_meant(tree, names, given):
    assert tree(*names).given == given


def test_two_folders_to_choose_by_are_refused(tree):
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


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(DataUnusable, match="is not a folder"):
        layout.scan_folder(tmp_path / "none")
