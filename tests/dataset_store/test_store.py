"""Datasets on disk: what training reads, what the store says, and what a kill leaves."""

import os

import pytest

from app.dataset import label_table
from app.dataset.files import list_below
from app.dataset_store import SentPhoto, dataset_folder, names
from app.errors import (
    BadParameter,
    NotAnImage,
    StoreFailed,
    StoreFull,
    UnknownDataset,
    UnknownPhoto,
)
from tests.dataset_store.conftest import png, sent


def labels_read_by_training(folder):
    """Return the labels of each photo's id, as training reads the folder."""
    files = list_below(folder).files
    if label_table.has_labels_csv(folder):
        files = [file for file in files if file.name != "labels.csv"]
        sets = label_table.label_sets(folder, files, "labels.csv")
        assert (sets.unlisted, sets.missing) == ([], [])
        read = [(file.stem, sorted(labels)) for file, labels in sets.labels.items()]
    else:
        read = [(file.stem, [file.parent.name]) for file in files]
    return sorted(read)


def ids(added):
    return [each.id for each in added.results]


def statuses(added):
    return [each.status for each in added.results]


def test_photos_are_in_a_folder_for_each_label(store, open_store):
    added = store.add("pets", [sent(1, "cat"), sent(2, "dog"), sent(1, "cat")])
    assert statuses(added) == ["added", "added", "present"]
    one, two, _ = ids(added)
    assert labels_read_by_training(store.folder("pets")) == sorted([(one, ["cat"]), (two, ["dog"])])
    for opened in (store, open_store()):
        shown = opened.show("pets")
        assert (shown.photos, shown.several_labels) == (2, False)
        assert [(each.label, each.photos) for each in shown.labels] == [("cat", 1), ("dog", 1)]
        assert [each.code for each in shown.warnings] == ["too_few", "too_few"]
        page, end = opened.photos("pets", "dog", None, 10)
        assert end is None
        assert [(each.id, each.labels, each.width, each.height) for each in page] == [
            (two, ("dog",), 6, 4)
        ]
    path, format, _ = store.photo("pets", one)
    assert (path.read_bytes(), format) == (png(1), "png")


def test_a_photo_under_two_labels_is_a_warning_or_moved(store, open_store):
    (one,) = ids(store.add("pets", [sent(1, "cat")]))
    assert statuses(store.add("pets", [sent(1, "dog")])) == ["added"]
    (warning,) = [w for w in store.show("pets").warnings if w.code == "two_labels"]
    assert warning.photos == (one,)
    assert open_store().show("pets") == store.show("pets")
    assert labels_read_by_training(store.folder("pets")) == [(one, ["cat"]), (one, ["dog"])]
    moved = store.add("pets", [sent(1, "bird")], move=True)
    assert [(each.status, each.labels) for each in moved.results] == [("moved", ("bird",))]
    assert labels_read_by_training(store.folder("pets")) == [(one, ["bird"])]
    assert sorted(os.listdir(store.folder("pets"))) == [".hubel.json", "bird"]


@pytest.mark.parametrize(
    "label",
    [
        "a/b",
        "a\\b",
        ".x",
        "Train",
        "photos",
        "é" * 200,
        "test_set",
        "Labels.csv",
        "_annotations.csv",
        "_classes.csv",
    ],
)
def test_a_label_that_is_no_folder_is_in_the_table(store, open_store, label):
    one, two = ids(store.add("odd", [sent(1, "cat"), sent(2, label)]))
    assert labels_read_by_training(store.folder("odd")) == sorted([(one, ["cat"]), (two, [label])])
    store.add("odd", [sent(2, "cat"), sent(3, "cat")])
    assert open_store().show("odd") == store.show("odd")
    assert not store.show("odd").several_labels
    store.relabel("odd", {label: "dog"}, [])
    assert [(each.label, each.photos) for each in store.show("odd").labels] == [
        ("cat", 3),
        ("dog", 1),
    ]


def test_photos_with_several_labels(store, open_store):
    one, two = ids(store.add("scenes", [sent(1, "cat"), sent(2, "cat")]))
    store.add("scenes", [sent(1, "dog")])
    three, four = ids(store.add("scenes", [sent(3, "cat", "sofa"), sent(4)]))
    expected = [(one, ["cat", "dog"]), (two, ["cat"]), (three, ["cat", "sofa"]), (four, [])]
    assert labels_read_by_training(store.folder("scenes")) == sorted(expected)
    assert store.show("scenes").several_labels
    assert statuses(store.add("scenes", [sent(3, "cat"), sent(3, "bird")])) == ["present", "added"]
    assert statuses(store.add("scenes", [sent(3, "bird")], move=True)) == ["moved"]
    shown = store.relabel("scenes", {"bird": "Cat"}, ["dog"])
    assert [(each.label, each.photos) for each in shown.labels] == [("cat", 3)]
    assert open_store().show("scenes").labels == shown.labels


def test_case_is_ignored_in_labels_as_training_does(store):
    added = store.add("pets", [sent(1, "Cat"), sent(2, "cat")])
    assert [each.labels for each in added.results] == [("Cat",), ("Cat",)]
    assert [each.label for each in store.relabel("pets", {"Cat": "cat"}, []).labels] == ["cat"]


def test_labels_are_renamed_merged_and_removed(store):
    store.add("pets", [sent(1, "kitty"), sent(2, "cat"), sent(2, "kitty"), sent(3, "dog")])
    shown = store.relabel("pets", {"kitty": "cat"}, ["dog"])
    assert [(each.label, each.photos) for each in shown.labels] == [("cat", 2)]
    assert sorted(os.listdir(store.folder("pets"))) == [".hubel.json", "cat"]
    assert [each.code for each in shown.warnings] == ["one_label", "too_few"]
    for rename, remove in (
        ({"bird": "x"}, []),
        ({}, ["bird"]),
        ({"cat": "a;b"}, []),
        ({"cat": "x"}, ["cat"]),
    ):
        with pytest.raises(BadParameter):
            store.relabel("pets", rename, remove)
    assert store.show("pets") == shown


def test_a_bad_file_fails_alone_and_makes_no_dataset(store):
    added = store.add("pets", [SentPhoto("x", b"text", ("cat",)), sent(1, "cat")])
    assert isinstance(added.results[0].problem, NotAnImage)
    assert statuses(added) == [None, "added"]
    store.add("none", [SentPhoto("x", b"text", ("cat",))])
    assert store.names() == ["pets"]


def test_nothing_is_left_of_a_request_that_fails(store, tmp_path):
    def broken():
        yield sent(1, "cat")
        raise OSError("a disk")

    with pytest.raises(OSError, match="a disk"):
        store.add("pets", broken())
    assert list((tmp_path / "datasets/.incoming").iterdir()) == []


def test_limits_hold(open_store):
    store = open_store(max_photos=2)
    added = store.add("a", [sent(number, "cat") for number in range(3)])
    assert isinstance(added.results[2].problem, StoreFull)
    added = store.add("b", [sent(9, "cat")])
    assert isinstance(added.results[0].problem, StoreFull)
    assert statuses(store.add("a", [sent(1, "cat")])) == ["present"]
    size = len(png(0))
    store = open_store(max_bytes=3 * size - 1)
    assert isinstance(store.add("a", [sent(5, "cat")]).results[0].problem, StoreFull)


def test_a_photo_that_is_moved_away_and_back_by_one_request_stays(store, open_store):
    (one,) = ids(store.add("pets", [sent(1, "cat")]))
    store.add("pets", [sent(1, "dog"), sent(1, "cat")], move=True)
    assert labels_read_by_training(store.folder("pets")) == [(one, ["cat"])]
    assert open_store().show("pets") == store.show("pets")


def test_a_file_with_the_name_of_a_folder_is_avoided(store):
    (one,) = ids(store.add("pets", [sent(1, "cat")]))
    (store.folder("pets") / "dog").write_text("mine")
    (two,) = ids(store.add("pets", [sent(2, "dog")]))
    shown = [(each.label, each.photos) for each in store.show("pets").labels]
    assert shown == [("cat", 1), ("dog", 1)]
    assert all(store.photo("pets", id)[0].is_file() for id in (one, two))
    store.add("odd", [sent(1, "cat")])
    (store.folder("odd") / "photos").write_text("mine")
    with pytest.raises(StoreFailed, match=r"Rename it\.$"):
        store.add("odd", [sent(2, "a/b")])


def test_only_what_hubel_made_is_deleted(store, tmp_path):
    (one, two) = ids(store.add("pets", [sent(1, "cat"), sent(2, "dog")]))
    (store.folder("pets") / "cat" / "mine.jpg").write_bytes(b"mine")
    assert store.delete_photos("pets", [one, one, "0" * 32]) == 1
    assert store.delete("pets") == 1
    left = tmp_path / "datasets/pets"
    assert [path.name for path in left.rglob("*")] == ["cat", "mine.jpg"]
    with pytest.raises(UnknownDataset):
        store.show("pets")
    with pytest.raises(BadParameter, match="Choose another name"):
        store.add("pets", [sent(1, "cat")])
    store.add("other", [sent(1, "cat"), sent(2, "a/b")])
    store.delete("other")
    assert sorted(os.listdir(tmp_path / "datasets")) == [".incoming", "pets"]
    with pytest.raises(UnknownDataset):
        store.photo("other", two)
    store.add("other", [sent(1, "cat")])
    with pytest.raises(UnknownPhoto):
        store.photo("other", two)


@pytest.mark.parametrize("name", ["", "A", "../x", ".x", "a/b", "x" * 65, "-a"])
def test_names_are_checked(store, name):
    with pytest.raises(BadParameter):
        store.add(name, [sent(1, "cat")])
    for call in (store.show, store.delete, store.folder):
        with pytest.raises(UnknownDataset):
            call(name)


def test_rows_of_somebody_else_stay_in_the_table(store, open_store):
    (one,) = ids(store.add("scenes", [sent(1, "cat", "dog")]))
    table = store.folder("scenes") / "labels.csv"
    (store.folder("scenes") / "own.jpg").write_bytes(png(5))
    table.write_text(f"{table.read_text()}own.jpg,tree\n")
    store = open_store()
    store.add("scenes", [sent(2, "cat")])
    assert "own.jpg,tree" in table.read_text()
    store.delete("scenes")
    assert (table.parent / "own.jpg").exists()
    assert "own.jpg,tree" in table.read_text()
    assert one


def test_a_lost_table_is_an_error_and_removes_nothing(store, open_store):
    _, two = ids(store.add("scenes", [sent(1, "cat", "dog"), sent(2, "a/b")]))
    folder = store.folder("scenes")
    (folder / "labels.csv").rename(folder.parent / "kept.csv")
    photos = sorted(folder.rglob("*.png"))
    with pytest.raises(StoreFailed, match=r"Restore .*labels\.csv\.$"):
        open_store().show("scenes")
    assert sorted(folder.rglob("*.png")) == photos
    (folder.parent / "kept.csv").rename(folder / "labels.csv")
    store = open_store()
    assert store.photo("scenes", two)[0].exists()
    store.delete_photos("scenes", [path.stem for path in photos])
    assert not (folder / "labels.csv").exists()
    assert open_store().show("scenes").photos == 0


def test_a_mark_of_an_earlier_version_learns_of_the_table(store, open_store):
    store.add("scenes", [sent(1, "cat", "dog")])
    folder = store.folder("scenes")
    (folder / ".hubel.json").write_text('{"schema_version": 1}')
    assert open_store().show("scenes").photos == 1
    (folder / "labels.csv").unlink()
    with pytest.raises(StoreFailed):
        open_store().show("scenes")
    (folder / ".hubel.json").write_text('{"schema_version": 1}')
    assert open_store().show("scenes").photos == 0


def test_files_of_somebody_else_that_are_named_like_photos_stay(store, open_store):
    other = f"{'a' * 32}.jpg"
    store.add("scenes", [sent(1, "cat", "dog")])
    folder = store.folder("scenes")
    table = folder / "labels.csv"
    for name in ("mine/deep", "md5"):
        (folder / name).mkdir(parents=True)
        (folder / name / other).write_bytes(png(5))
    table.write_text(f"{table.read_text()}mine/deep/{other},cat\nmd5/{other},old\n")
    store = open_store()
    store.add("scenes", [sent(2, "cat")])
    assert f"mine/deep/{other},cat" in table.read_text()
    store.relabel("scenes", {}, ["old"])
    assert (folder / "md5" / other).exists()
    store.add("pets", [sent(1, "cat")])
    pets = store.folder("pets")
    (pets / "cat" / other).write_bytes(png(5))
    store = open_store()
    assert store.delete_photos("pets", ["a" * 32]) == 1
    store.delete("pets")
    store.delete("scenes")
    assert [path.name for path in pets.rglob("*.*")] == [other]
    assert sorted(path.parent.name for path in folder.rglob("*.*g")) == ["deep", "md5"]
    assert f"mine/deep/{other},cat" in table.read_text()


def test_pages(store):
    store.add("pets", [sent(number, "cat") for number in range(5)])
    seen, after = [], None
    while True:
        page, after = store.photos("pets", None, after, 2)
        seen += [each.id for each in page]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 5


def test_a_copy_for_a_job_is_complete(store, tmp_path):
    store.add("scenes", [sent(1, "cat", "dog"), sent(2, "a/b")])
    assert store.link_into("scenes", tmp_path / "job/photos") == 2
    assert labels_read_by_training(tmp_path / "job/photos") == labels_read_by_training(
        store.folder("scenes")
    )


class Killed(BaseException):
    """The process ends here: nothing that would clean up runs."""


KILLED_CALLS = ["rename", "replace", "unlink", "fsync", "mkdir", "rmdir"]


@pytest.mark.parametrize("call", KILLED_CALLS)
def test_a_kill_at_any_moment_loses_nothing_that_was_added(open_store, monkeypatch, tmp_path, call):
    """Every use of a system call fails once, as does all cleaning after it; then a new start."""
    base = open_store()
    base.add("pets", [sent(1, "cat"), sent(2, "dog")])
    base.add("scenes", [sent(1, "cat", "dog"), sent(2, "a/b")])
    changes = [
        lambda store: store.add("pets", [sent(3, "cat"), sent(4, "bird")]),
        lambda store: store.add("pets", [sent(3, "cat", "bird"), sent(5, "x/y")]),
        lambda store: store.add("scenes", [sent(2, "dog", "cat"), sent(6, "cat")]),
        lambda store: store.relabel("scenes", {"cat": "Katze"}, ["dog"]),
        lambda store: store.relabel("pets", {"cat": "Katze"}, []),
        lambda store: store.delete_photos("scenes", [names.id_of(png(1))]),
        lambda store: store.add("new", [sent(7, "cat")]),
        lambda store: store.delete("new"),
    ]
    kills = 0
    for change in changes:
        number = 0
        while True:
            store = open_store()
            with monkeypatch.context() as patch:
                state = {"left": number}
                _kill(patch, call, state)
                try:
                    change(store)
                except Killed:
                    kills += 1
                except (UnknownDataset, BadParameter):
                    break  # the change before was complete
                done = state["left"] > 0
            _check(open_store(), tmp_path)
            if done:
                break
            number += 1
    assert kills >= 1


def _kill(patch, call, state):
    real = {name: getattr(os, name) for name in KILLED_CALLS}

    def wrapped(name):
        def run(*args, **options):
            if state["left"] == 0 and name == call:
                state["left"] = -1
            if state["left"] < 0:
                raise Killed
            if name == call:
                state["left"] -= 1
            return real[name](*args, **options)

        return run

    for name in KILLED_CALLS:
        patch.setattr(os, name, wrapped(name))


def _check(store, tmp_path):
    """Check that no half photo, row or dataset is left, and that nothing has vanished."""
    assert os.listdir(tmp_path / "datasets/.incoming") == []
    assert not list((tmp_path / "datasets").glob(".deleted*"))
    for name in store.names():
        folder = store.folder(name)
        read = labels_read_by_training(folder)
        assert {id for id, _ in read} == {each.id for each in dataset_folder.read(folder)}
        for path in folder.rglob("*.png"):
            assert names.id_of(path.read_bytes()) == path.stem
        assert not list(folder.rglob("*.new"))
    both = {"pets", "scenes"}
    assert both <= set(store.names())
    assert store.photo("pets", names.id_of(png(1)))
    assert store.photo("scenes", names.id_of(png(2)))
