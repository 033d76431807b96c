"""The keys file: what is stored, and how a running service follows it."""

import json

import pytest

from app.errors import BadParameter
from app.keys_file import KeysFile, NamedKeys, change, create, read


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def add(file, name, scope="classify"):
    key, added = create(name, scope)
    change(file, lambda before: NamedKeys(keys=(*before.keys, added)))
    return key


def test_the_file_has_no_key_but_its_hash(file):
    key = add(file, "alice")
    assert key not in file.read_text()
    assert KeysFile(file).find(key).name == "alice"
    assert KeysFile(file).find(f"{key}x") is None


def test_a_change_is_followed_and_an_invalid_file_changes_nothing(file, caplog):
    alice = add(file, "alice")
    keys = KeysFile(file)
    bob = add(file, "bob")
    keys.follow()
    assert keys.find(alice)
    assert keys.find(bob)
    file.write_text("{")
    keys.follow()
    assert keys.find(bob)
    assert "The keys stay as they were" in caplog.text
    file.unlink()
    keys.follow()
    assert keys.find(bob)
    add(file, "carol")
    keys.follow()
    assert keys.find(bob) is None


def test_a_replaced_file_keeps_its_permissions_and_its_link(file, tmp_path):
    add(file, "alice")
    file.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(file)
    add(link, "bob")
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [key.name for key in read(file).keys] == ["alice", "bob"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "link.json"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"key": []}, "key: Extra inputs"),
        ({"keys": [{"name": "alice"}]}, "keys.0.scope"),
    ],
    ids=["schema", "unknown field", "no scope"],
)
def test_an_invalid_file_is_one_sentence_with_the_place(file, change, reason):
    file.write_text(json.dumps({"schema_version": 1, "keys": [], **change}))
    with pytest.raises(BadParameter, match=reason):
        KeysFile(file)


def test_two_keys_of_one_name_are_rejected(file):
    add(file, "alice")
    with pytest.raises(ValueError, match="same name"):
        add(file, "alice")


@pytest.mark.parametrize("name", ["", ".x", "a b", "ä", "x" * 65, "a\n"])
def test_a_name_fits_into_logs_and_metrics(name):
    with pytest.raises(BadParameter, match="can't be a key's name"):
        create(name, "classify")
