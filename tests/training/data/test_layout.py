"""A data folder is listed with its classes and the split that it gives."""

import os
import unicodedata

import pytest

from app.errors import BadParameter
from training.data import layout
from training.errors import DataUnusable, SplitUnclear


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
    with pytest.raises(BadParameter, match="val/ and valid/ stand for the same part"):
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


@pytest.mark.parametrize("folder", ["", "test"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\n1.jpg,cat\n", "is file,label, not file,labels"),
        ("file,labels\ncaf\xe9.jpg,cat\n", "is not UTF-8"),
    ],
)
def test_a_faulty_labels_csv_is_no_reason_to_take_folders_for_classes(
    tree, tmp_path, folder, text, words
):
    tree("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg", "test/dog/4.jpg")
    (tmp_path / "data" / folder / "labels.csv").write_text(text, encoding="latin-1")
    with pytest.raises(BadParameter, match=words):
        layout.scan_folder(tmp_path / "data")


CLASSES = ("cat/1.jpg", "dog/2.jpg")


@pytest.mark.parametrize(
    "parts", ["Train Test", "training testing", "training_set/training_set test_set"]
)
def test_a_split_in_another_spelling_is_used(tree, parts):
    data = tree(*(f"{part}/{name}" for part in parts.split() for name in CLASSES))
    assert data.given == ("train", "test")
    assert data.labels == ("cat", "dog")
    assert data.stray == ()


def test_what_stands_beside_a_nested_split_is_told(tree):
    data = tree("zip/Train/cat/1.jpg", "zip/Test/cat/2.jpg", "zip/extra/3.jpg", "zip/readme.txt")
    assert [(file.name, file.part) for file in data.files] == [
        ("zip/Test/cat/2.jpg", "test"),
        ("zip/Train/cat/1.jpg", "train"),
    ]
    assert data.stray == ("zip/extra", "zip/readme.txt")


def test_folders_with_the_same_classes_are_not_taken_for_classes_in_silence(tree, tmp_path):
    names = [f"{part}/{name}" for part in "ab" for name in CLASSES]
    with pytest.raises(SplitUnclear, match=r"--split train=a,test=b for a split, or --split none"):
        tree(*names, "a/cat/3.jpg")
    data = tmp_path / "data"
    assert layout.scan_folder(data, split={}).labels == ("a", "b")
    given = layout.scan_folder(data, split={"a": "train", "b": "test"})
    assert (given.labels, given.given) == (("cat", "dog"), ("train", "test"))
    pooled = layout.scan_folder(data, split={"a": "train", "b": "train"})
    assert (len(pooled.files), pooled.given) == (5, ("train",))
    with pytest.raises(DataUnusable, match="of --split is not a folder"):
        layout.scan_folder(data, split={"c": "train"})


@pytest.mark.parametrize("name", ["../other", "cat/../../other", "/absolute"])
def test_a_split_has_folders_inside_the_data_alone(tree, tmp_path, name):
    tree(*CLASSES)
    (tmp_path / "other").mkdir()
    if name == "/absolute":
        name = str(tmp_path / "other")
    with pytest.raises(DataUnusable, match="of --split lies outside"):
        layout.scan_folder(tmp_path / "data", split={name: "train"})


@pytest.mark.parametrize("other", ["a/", "./a", "a/cat", ".", "link"])
def test_folders_of_a_split_that_share_photos_are_rejected(tree, tmp_path, other):
    tree("a/cat/1.jpg", "a/dog/2.jpg")
    data = tmp_path / "data"
    (data / "link").symlink_to(data / "a")
    with pytest.raises(DataUnusable, match="photos would be in both parts"):
        layout.scan_folder(data, split={"a": "train", other: "test"})


def test_names_that_differ_in_normalisation_or_case_are_one_class_and_told(tree):
    nfd = unicodedata.normalize("NFD", "café")
    data = tree("train/café/1.jpg", f"test/{nfd}/2.jpg", "train/Dog/3.jpg", "test/dog/4.jpg")
    assert data.labels == ("Dog", "café")
    assert data.spelling == ("café (in Unicode)", "Dog = dog")


def test_two_spellings_in_one_part_stay_two_classes(tree):
    assert tree("Cat/1.jpg", "cat/2.jpg", "dog/3.jpg").labels == ("Cat", "cat", "dog")


def test_links_that_lead_back_end_and_broken_ones_are_files(tree, tmp_path):
    tree("cat/1.jpg", "dog/2.jpg")
    data = tmp_path / "data"
    (data / "cat" / "up").symlink_to(data)
    (data / "cat" / "gone.jpg").symlink_to(data / "nowhere")
    (data / "everything").symlink_to(data)
    scanned = layout.scan_folder(data)
    assert [file.name for file in scanned.files] == ["cat/1.jpg", "cat/gone.jpg", "dog/2.jpg"]
    assert scanned.stray == (
        "cat/up (it leads to a folder that is read already)",
        "everything (it leads to a folder that is read already)",
    )


def _flat(tmp_path, table, text):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("cat_1.jpg", "cat_2.jpg", "dog_3.jpg", "notes.txt"):
        (data / name).write_bytes(b"")
    if table:
        (data / table).write_text(text)
    return data


@pytest.mark.parametrize(
    ("form", "table", "text"),
    [
        (None, "labels.csv", "file,labels\ncat_1.jpg,cat\ndog_3.jpg,dog\n"),
        ("roboflow", "_annotations.csv", "filename,class\ncat_1.jpg,cat\ndog_3.jpg,dog\n"),
        ("columns", "_classes.csv", "filename,cat,dog\ncat_1.jpg,1,0\ndog_3.jpg,0,1\n"),
    ],
)
def test_a_flat_folder_with_a_table_is_read(tmp_path, form, table, text):
    data = layout.scan_folder(_flat(tmp_path, table, text), form)
    assert [(file.name, file.label) for file in data.files] == [
        ("cat_1.jpg", "cat"),
        ("dog_3.jpg", "dog"),
    ]
    assert (data.unlabelled, data.stray) == (("cat_2.jpg",), ("notes.txt",))


def test_labels_in_the_names_of_files_are_read(tmp_path):
    data = layout.scan_folder(_flat(tmp_path, None, ""), "filename")
    assert (data.labels, len(data.files)) == (("cat", "dog"), 3)


def test_one_table_above_the_parts_of_a_split_is_read(tree, tmp_path):
    tree("train/1.jpg", "test/2.jpg")
    (tmp_path / "data" / "labels.csv").write_text("file,labels\ntrain/1.jpg,cat\ntest/2.jpg,dog\n")
    data = layout.scan_folder(tmp_path / "data")
    assert [(file.label, file.part) for file in data.files] == [("dog", "test"), ("cat", "train")]


def test_a_folder_that_holds_photos_is_never_said_to_hold_none(tmp_path):
    error = str(layout.no_classes(_flat(tmp_path, None, "")))
    assert "holds 3 photos, but none has a label" in error
    assert "--labels-from filename: their names look like cat_12.jpg" in error


def test_contradictory_rows_make_data_multi_label_or_are_left_out(tree, tmp_path):
    tree("1.jpg", "2.jpg", "3.jpg")
    rows = "1.jpg,cat\n2.jpg,dog\n3.jpg,cat\n1.jpg,dog\n3.jpg,\n"
    (tmp_path / "data" / "labels.csv").write_text(f"file,labels\n{rows}")
    several = layout.scan_folder(tmp_path / "data")
    assert several.task == "multi_label"
    assert several.contradictory == ("1.jpg (cat; dog)", "3.jpg (cat)")
    assert several.files[0].labels == ("cat", "dog")
    single = layout.scan_folder(tmp_path / "data", task="single_label")
    assert single.contradictory == ("1.jpg (cat; dog)",)
    assert [(file.name, file.label) for file in single.files] == [
        ("2.jpg", "dog"),
        ("3.jpg", "cat"),
    ]
    rows = "1.jpg,cat\n2.jpg,cat;dog\n3.jpg,cat\n1.jpg,dog\n"
    (tmp_path / "data" / "labels.csv").write_text(f"file,labels\n{rows}")
    with pytest.raises(BadParameter, match=r"1 photos several labels, the first is 2\.jpg"):
        layout.scan_folder(tmp_path / "data", task="single_label")
