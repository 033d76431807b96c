"""A table of fixes changes labels and leaves photos out; the folder stays as it is."""

import csv
from pathlib import Path

import pytest

from training.data import fixes
from training.data.layout import Dataset, File
from training.errors import DataUnusable
from training.packaging import suspects
from training.report import SuspectPhoto

NAMES = ("cat/1.jpg", "cat/2, old.jpg", "dog/1.jpg", "dog/ä.jpg")


@pytest.fixture
def dataset():
    files = tuple(File(Path(name), name, name.split("/")[0], None) for name in NAMES)
    return Dataset("pets", files, ())


def _table(folder, text, encoding="utf-8"):
    file = folder / "fixes.csv"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize(
    "text",
    [
        'file,label,suggested,fix\ncat/1.jpg,cat,dog,dog\n"cat/2, old.jpg",cat,dog,drop\n'
        "dog/1.jpg,dog,cat,\ndog/ä.jpg,dog,cat,dog\n",
        "\ufefffile;fix\r\ncat/1.jpg;dog\r\ncat/2, old.jpg;-\r\n\r\n",
        "fix\tfile\ndog\tcat/1.jpg\nDROP\tcat/2, old.jpg\n",
    ],
    ids=["as written", "from a spreadsheet", "tabs, other order"],
)
def test_labels_are_changed_and_photos_left_out(dataset, tmp_path, text):
    fixed = fixes.apply(dataset, _table(tmp_path, text))
    assert [(file.name, file.label) for file in fixed.dataset.files] == [
        ("cat/1.jpg", "dog"),
        ("dog/1.jpg", "dog"),
        ("dog/ä.jpg", "dog"),
    ]
    assert fixed.line == "fixes: 1 photos relabelled, 1 left out"


def test_what_suspects_csv_says_of_odd_names_is_read_again(tmp_path):
    names = ["dog/a\nb.jpg", "dog/c\u2028d.jpg", "dog/e\x85f.jpg", "dog/g\rh.jpg", "dog/i.jpg "]
    files = tuple(File(Path(n), n, n.split("/")[0], None) for n in [*names, "cat/1.jpg"])
    photos = [SuspectPhoto(name, "dog", "cat", 0.1, 0.9, True, 0) for name in names]
    suspects.write(photos, tmp_path)
    table = tmp_path / suspects.FILE
    with table.open(encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == names
    text = table.read_bytes().decode().replace("0.9000,", "0.9000,cat")
    fixed = fixes.apply(Dataset("pets", files, ()), _table(tmp_path, text))
    assert {file.label for file in fixed.dataset.files} == {"cat"}


def test_drop_may_be_a_class_too(tmp_path):
    files = (File(Path("a"), "drop/a", "drop", None), File(Path("b"), "leaf/b", "leaf", None))
    fixed = fixes.apply(
        Dataset("drops", files, ()), _table(tmp_path, "file,fix\nleaf/b,drop\ndrop/a,-\n")
    )
    assert [(file.name, file.label) for file in fixed.dataset.files] == [("leaf/b", "drop")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,fix\nhorse/1.jpg,dog\n", "line 2: 'horse/1.jpg' is no labelled file of pets"),
        (
            "file,fix\n\ncat/1.jpg,dgo\n",
            "line 3: 'dgo' is no class .* 'cat', or drop",
        ),
        ("file,fix\ncat/1.jpg,dog\ncat/1.jpg,drop\n", "has a fix already"),
        ("file,labels\ncat/1.jpg,dog\n", "has no columns file and fix"),
        ("", "has no columns file and fix"),
    ],
    ids=["file", "label", "twice", "header", "empty"],
)
def test_a_wrong_line_is_named(dataset, tmp_path, text, words):
    with pytest.raises(DataUnusable, match=words):
        fixes.apply(dataset, _table(tmp_path, text))


def test_a_table_that_is_not_utf_8_is_one_sentence(dataset, tmp_path):
    table = _table(tmp_path, "file,fix\ndog/ä.jpg,cat\n", "latin-1")
    with pytest.raises(DataUnusable, match=r"is not UTF-8\. Save it as UTF-8"):
        fixes.apply(dataset, table)
