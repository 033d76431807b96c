"""The store: each photo once, limits to the byte, labels that stay, and repairs after a kill."""

import sqlite3
import subprocess
import sys
import threading

import pytest

from app.captures import Filter, Prediction, StoreLimits, database
from app.captures.rows import page_of
from app.captures.store import Store
from app.errors import BadParameter


def listed(store, *, order="newest", count=100, **wanted):
    """Return the captures of all pages of a list."""
    found, position = [], None
    with database.reading(store.folder) as connection:
        while True:
            page, position = page_of(connection, Filter(**wanted), order, position, count)
            found += page
            if position is None:
                return found


def files(store):
    return sorted(path for path in (store.folder / "photos").rglob("*") if path.is_file())


def test_a_photo_is_kept_with_all_that_was_said(store, roomy, capture):
    new = capture(1)
    (id,) = store.add([new], roomy)
    (kept,) = listed(store)
    assert kept.id == id
    for name in ("request_id", "index", "model", "version", "decision", "predictions", "reason"):
        assert getattr(kept, name) == getattr(new, name)
    assert (kept.format, kept.width, kept.height, kept.bytes) == ("jpeg", 4, 3, 7)
    assert (kept.labels, kept.wrong, kept.labelled_ms) == (None, False, None)
    assert store.files.path(kept.sha256, "jpeg").read_bytes() == new.data


def test_the_same_photo_is_kept_once_for_each_model(store, roomy, capture):
    ids = store.add([capture(1), capture(1), capture(1, model="toys")], roomy)
    assert ids[0] == ids[1] != ids[2]
    assert len(files(store)) == store.totals().photos == 1
    assert store.totals().bytes == 7
    store.delete([ids[0]])
    assert len(files(store)) == 1
    store.delete([ids[2]])
    assert files(store) == []
    assert (store.totals().photos, store.totals().bytes) == (0, 0)


def test_limits_hold_to_the_byte_and_the_oldest_unlabelled_leave_first(store, capture):
    limits = StoreLimits(bytes=21, photos=10, days=1)
    ids = store.add([capture(number) for number in (1, 2, 3)], limits)
    assert store.totals().bytes == 21
    store.label([ids[0]], ["cat"])
    store.add([capture(4)], limits)
    assert {kept.request_id for kept in listed(store)} == {"r1", "r3", "r4"}
    assert store.totals().bytes == sum(path.stat().st_size for path in files(store)) == 21
    assert store.add([capture(5, data=b"x" * 15)], limits) == [None]
    assert {kept.request_id for kept in listed(store)} == {"r1", "r3", "r4"}
    assert store.add([capture(6, data=b"x" * 14)], StoreLimits(100, 1, 1)) == [None]


def test_a_photo_that_can_never_fit_removes_nothing(store, capture):
    limits = StoreLimits(bytes=21, photos=10, days=1)
    store.add([capture(1)], limits)
    assert store.add([capture(2, data=b"x" * 22)], limits) == [None]
    assert len(listed(store)) == 1


def test_prune_removes_old_photos_without_a_label(store, roomy, capture):
    day = 24 * 3600 * 1000
    ids = store.add([capture(number, captured_ms=number * day) for number in range(1, 6)], roomy)
    store.label([ids[0]], [])
    assert store.prune(StoreLimits(10**9, 100, days=2), now_ms=5 * day) == 1
    assert [kept.request_id for kept in listed(store)] == ["r5", "r4", "r3", "r1"]
    assert store.prune(StoreLimits(10**9, 2, days=100), now_ms=5 * day) == 2
    assert [kept.request_id for kept in listed(store)] == ["r5", "r1"]
    assert len(files(store)) == 2


def test_labels_are_given_changed_and_taken_back(store, roomy, capture):
    (id,) = store.add([capture(1)], roomy)
    (kept,) = store.label([id, 99], ["dog", "cat", "dog"], by="alice", now_ms=5)
    assert (kept.labels, kept.labelled_by, kept.labelled_ms) == (("dog", "cat"), "alice", 5)
    (kept,) = store.label([id], [])
    assert (kept.labels, kept.wrong) == ((), False)
    (kept,) = store.label([id], None, wrong=True)
    assert (kept.labels, kept.wrong) == (None, True)
    (kept,) = store.label([id], None)
    said = kept.labels, kept.wrong, kept.labelled_ms, kept.labelled_by
    assert said == (None, False, None, None)


def test_lists_are_filtered_ordered_and_paged(store, roomy, capture):
    ids = store.add(
        [
            capture(1, decision="unknown"),
            capture(2, model="toys"),
            capture(3, predictions=(Prediction("dog", 0.2),)),
            capture(4, predictions=(Prediction("dog", 0.9),)),
        ],
        roomy,
    )
    store.label([ids[2]], ["cat"])

    def found(**wanted):
        return [kept.id for kept in listed(store, **wanted)]

    assert found(count=1) == found(count=3) == ids[::-1]
    assert found(order="unsure", count=1) == [ids[2], ids[0], ids[1], ids[3]]
    assert found(model="toys") == [ids[1]]
    assert found(decision="unknown") == [ids[0]]
    assert found(predicted="dog") == [ids[3], ids[2]]
    assert found(label="cat", model="pets") == [ids[2]]
    assert found(labelled=True) == [ids[2]]
    assert found(labelled=False, predicted="dog") == [ids[3]]
    assert found(since_ms=1_000_002, until_ms=1_000_004) == [ids[2], ids[1]]


def test_a_restart_mends_what_a_kill_left(store, roomy, capture):
    ids = store.add([capture(1), capture(2)], roomy)
    lost, stays = (store.files.path(kept.sha256, "jpeg") for kept in listed(store))
    lost.unlink()
    orphan = stays.with_name("0" * 64 + ".jpeg")
    orphan.write_bytes(b"no row")
    stays.with_name(stays.name + ".new").write_bytes(b"half")
    note = store.folder / "photos" / "my notes.txt"
    note.write_text("not Hubel's")
    store.repair()
    assert [kept.id for kept in listed(store)] == [ids[0]]
    assert set(files(store)) == {note, stays}
    assert store.totals().photos == 1


def test_a_photo_that_was_called_wrong_has_no_label_and_may_leave(store, roomy, capture):
    (id,) = store.add([capture(1)], roomy)
    store.label([id], None, wrong=True)
    assert len(listed(store, labelled=False)) == 1
    assert store.prune(StoreLimits(0, 0, 1)) == 1


def test_a_database_or_files_that_are_elsewhere_are_not_repaired(store, roomy, capture):
    store.add([capture(1), capture(2)], roomy)
    photos = store.folder / "photos"
    photos.rename(store.folder / "unmounted")
    with pytest.raises(BadParameter, match="are missing"):
        Store(store.folder.parent).repair()
    assert len(listed(store)) == 2
    photos.rmdir()
    (store.folder / "unmounted").rename(photos)
    for number in range(1001):
        path = store.files.path(f"{number:064x}", "jpeg")
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with pytest.raises(BadParameter, match="not in its database"):
        store.repair()
    assert len(files(store)) == 1003


def test_a_change_waits_for_another_one_and_then_gives_up(store, roomy, capture, monkeypatch):
    monkeypatch.setattr(database, "_WAIT_S", 0.05)
    with database.alone(store.folder), pytest.raises(TimeoutError, match="another process"):
        store.add([capture(1)], roomy)


def test_a_full_disk_keeps_nothing_half(store, roomy, capture, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.durable_files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        store.add([capture(1)], roomy)
    assert listed(store) == files(store) == []


def test_one_service_at_a_time_keeps_photos(store):
    claimed = store.claim()
    with pytest.raises(BadParameter, match="Another service"):
        Store(store.folder.parent).claim()
    claimed.close()
    store.claim().close()


def test_a_database_of_a_newer_version_is_refused(store):
    with database.writing(store.folder) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BadParameter, match="newer version"):
        Store(store.folder.parent)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / database.FILE).write_bytes(b"something else" * 100)
    with pytest.raises(BadParameter, match="move the whole folder"):
        Store(tmp_path)


def test_many_open_a_new_folder_at_once(tmp_path):
    errors = []

    def start():
        try:
            Store(tmp_path)
        except Exception as err:
            errors.append(err)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from app.captures import NewCapture, Prediction, Store, StoreLimits

limits = StoreLimits(10**9, 10**6, 365)
store = Store(Path(sys.argv[1]))
steps = int(sys.argv[2])

def stop_before_a_change(event, arguments):
    global steps
    if event in ("os.rename", "os.remove", "open") and str(sys.argv[1]) in str(arguments[0]):
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(stop_before_a_change)
for number in range(3):
    new = NewCapture(b"photo %d" % number, "jpeg", 4, 3, f"r{number}", 0, "pets", 1, "unsure",
                     (Prediction("cat", 0.5),), "unsure", number)
    (id,) = store.add([new], limits)
    store.label([id], ["cat"])
    print(id, flush=True)
store.delete([1])
"""


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8])
def test_a_kill_loses_no_label_and_leaves_no_half_photo(tmp_path, step):
    run = subprocess.run(
        [sys.executable, "-c", _KILLED, tmp_path, str(step)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    acknowledged = [int(line) for line in run.stdout.split()]
    store = Store(tmp_path)
    store.repair()
    kept = listed(store)
    assert all(store.files.path(each.sha256, "jpeg").is_file() for each in kept)
    assert len(files(store)) == len(kept) == store.totals().photos
    labelled = {each.id for each in kept if each.labels == ("cat",)}
    may_be_deleted = {1} if len(acknowledged) == 3 else set()
    assert set(acknowledged) - labelled <= may_be_deleted


def test_rows_need_their_photo(store):
    with pytest.raises(sqlite3.IntegrityError), database.writing(store.folder) as connection:
        connection.execute("INSERT INTO labels (label, capture_id, place) VALUES ('cat', 1, 0)")
