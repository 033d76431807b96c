"""`hubel captures`: list, export, delete and prune."""

import pytest

from app.captures import NewCapture, Prediction, Store, StoreLimits


@pytest.fixture
def ids(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBEL_DATA_DIR", str(tmp_path))
    new = [
        NewCapture(
            *(b"photo %d" % number, "jpeg", 4, 3, f"r{number}", 0, "pets", 1, "unsure"),
            *((Prediction("cat", 0.5),), "unsure", number),
        )
        for number in range(3)
    ]
    store = Store(tmp_path)
    ids = store.add(new, StoreLimits(10**9, 100, 1))
    store.label(ids[:1], ["cat"])
    return ids


def test_photos_are_listed_exported_deleted_and_pruned(hubel, ids, tmp_path):
    listed = hubel("captures", "list").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == [str(id) for id in ids[::-1]]
    assert listed[-1].split("\t")[1:] == [
        *("1970-01-01T00:00:00Z", "pets/1", "unsure", "cat 0.50", "cat"),
    ]
    assert len(hubel("captures", "list", "--unlabelled").stdout.splitlines()) == 2
    assert "--count than 1" in hubel("captures", "list", "--count", "1").stderr
    exported = hubel("captures", "export", tmp_path / "out")
    assert exported.stdout.split() == ["1", "cat"]
    assert "2 photos are left out" in exported.stderr
    assert len(list((tmp_path / "out" / "cat").iterdir())) == 1
    deleted = hubel("captures", "delete", str(ids[1]), "99")
    assert (deleted.stdout, deleted.stderr) == ("deleted 1\n", "1 ids don't exist.\n")
    assert hubel("captures", "prune", "--max-photos", "0").stdout.startswith("removed 1; 1 photos")


def test_wrong_usage_says_what_to_do(hubel, assert_error, tmp_path, monkeypatch):
    monkeypatch.delenv("HUBEL_DATA_DIR", raising=False)
    assert_error(hubel("captures", "list"), 2, "set HUBEL_DATA_DIR")
    assert_error(hubel("captures", "list", "--data-dir", tmp_path), 2, "kept photos")
    Store(tmp_path)
    assert_error(
        hubel("captures", "export", tmp_path / "out", "--data-dir", tmp_path), 2, "Label some"
    )
