"""The photos of a job: linked, not copied, with the labels that datasets and captures have."""

import csv

import pytest

from app.captures import NewCapture, Prediction, Store, StoreLimits
from app.errors import BadParameter
from app.jobs.photos import collect, photos_of_captures, photos_of_dataset


def rows(folder):
    with (folder / "labels.csv").open(newline="") as table:
        return {row["file"]: row["labels"] for row in csv.DictReader(table)}


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "pets"
    for label, count in (("cat", 20), ("dog", 20)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            (folder / label / f"{number}.jpg").write_bytes(b"%s %d" % (label.encode(), number))
    return folder


def test_photos_are_linked_into_a_train_and_a_test_part(dataset, tmp_path):
    counts = collect(photos_of_dataset(dataset), tmp_path / "out", {}, None)
    assert counts == {"cat": 20, "dog": 20}
    train, test = rows(tmp_path / "out" / "train"), rows(tmp_path / "out" / "test")
    assert len(train) + len(test) == 40
    assert set(test.values()) == {"cat", "dog"}
    file = next(iter(train))
    assert (tmp_path / "out" / "train" / file).stat().st_nlink == 2


def test_labelled_captures_join_and_the_same_photo_is_taken_once(dataset, tmp_path):
    store = Store(tmp_path)
    datas = (b"cat 1", b"hen", b"nothing", b"not labelled")
    new = [
        NewCapture(
            *(data, "jpeg", 4, 3, f"r{number}", 0, "pets", 1, "unknown"),
            *((Prediction("cat", 0.5),), "unknown", number),
        )
        for number, data in enumerate(datas)
    ]
    ids = store.add(new, StoreLimits(10**9, 100, 10**5))
    for id, labels in zip(ids, (["cat"], ["hen"], []), strict=False):
        store.label([id], labels)
    sources = [*photos_of_dataset(dataset), *photos_of_captures(tmp_path, "pets")]
    counts = collect(sources, tmp_path / "out", {}, None)
    assert counts == {"cat": 20, "dog": 20, "hen": 1}
    assert list(photos_of_captures(tmp_path, "other")) == []


def test_several_labels_are_kept_and_too_few_photos_have_no_test_part(tmp_path):
    folder = tmp_path / "set"
    (folder / "photos").mkdir(parents=True)
    for name in "abc":
        (folder / "photos" / f"{name}.jpg").write_bytes(name.encode())
    text = "file,labels\nphotos/a.jpg,sky;sea\nphotos/b.jpg,sea\nphotos/c.jpg,\n"
    (folder / "labels.csv").write_text(text)
    collect(photos_of_dataset(folder), tmp_path / "out", {}, None)
    assert sorted(rows(tmp_path / "out").values()) == ["", "sea", "sea;sky"]


def test_no_photo_is_an_error(tmp_path):
    with pytest.raises(BadParameter, match="Add some"):
        collect([], tmp_path / "out", {}, None)
