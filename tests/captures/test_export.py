"""Export: a folder that a training reads, and nothing of the user's is replaced."""

import csv

import pytest

from app.captures.export import export
from app.errors import BadParameter


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_one_label_each_makes_a_folder_for_each_label(store, roomy, capture, tmp_path):
    ids = store.add([capture(number) for number in range(4)], roomy)
    store.label(ids[:2], ["cat"])
    store.label(ids[2:3], ["hot dog"])
    exported = export(store, tmp_path / "out", None)
    assert exported.photos == {"cat": 2, "hot dog": 1}
    assert (exported.unlabelled, exported.wrong, exported.missing) == (1, 0, 0)
    assert [file.split("/")[0] for file in tree(tmp_path / "out")] == ["cat", "cat", "hot dog"]
    assert {file.read_bytes() for file in (tmp_path / "out" / "cat").iterdir()} == {
        b"photo 0",
        b"photo 1",
    }


@pytest.mark.parametrize(
    "labels", [[], ["cat", "dog"], ["either/or"], [".hidden"], ["x" * 300], ["train"], ["Test_set"]]
)
def test_other_labels_make_a_table(store, roomy, capture, tmp_path, labels):
    ids = store.add([capture(1), capture(2)], roomy)
    store.label(ids[:1], ["cat"])
    store.label(ids[1:], labels)
    export(store, tmp_path / "out", None)
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "labels"]
    assert {row[1] for row in rows} == {"cat", ";".join(labels)}
    assert all((tmp_path / "out" / row[0]).is_file() for row in rows)


def test_what_is_not_exported_is_counted(store, roomy, capture, tmp_path):
    ids = store.add([capture(number) for number in range(4)], roomy)
    store.label(ids[:2], ["cat"])
    store.label(ids[2:3], None, wrong=True)
    (lost,) = store.label(ids[:1], ["cat"])
    store.files.path(lost.sha256, "jpeg").unlink()
    exported = export(store, tmp_path / "out", "pets")
    assert (exported.unlabelled, exported.wrong, exported.missing) == (1, 1, 1)
    assert exported.photos == {"cat": 1}


def test_nothing_is_replaced(store, roomy, capture, tmp_path):
    (id,) = store.add([capture(1)], roomy)
    with pytest.raises(BadParameter, match="Label some first"):
        export(store, tmp_path / "out", None)
    store.label([id], ["cat"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(BadParameter, match="isn't an empty folder"):
        export(store, tmp_path / "mine", None)
    (tmp_path / "empty").mkdir()
    export(store, tmp_path / "empty", None)
    assert len(tree(tmp_path / "empty")) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_several_models_must_be_told_apart(store, roomy, capture, tmp_path):
    ids = store.add([capture(1), capture(2, model="toys")], roomy)
    store.label(ids, ["cat"])
    with pytest.raises(BadParameter, match="pets, toys"):
        export(store, tmp_path / "out", None)
    assert export(store, tmp_path / "out", "toys").photos == {"cat": 1}
