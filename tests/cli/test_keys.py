"""`hubel keys`: added once, listed without secrets, revoked by name."""

import stat


def test_a_key_is_added_listed_and_revoked(hubel, monkeypatch, tmp_path):
    file = tmp_path / "keys.json"
    monkeypatch.setenv("HUBEL_KEYS_FILE", str(file))
    key = hubel("keys", "add", "alice", "--scope", "label").stdout.strip()
    assert key.startswith("hubel_")
    assert len(key) == 49
    listed = hubel("keys", "list").stdout
    assert listed.split()[:2] == ["alice", "label"]
    assert key not in listed + file.read_text()
    assert hubel("keys", "revoke", "alice").stdout == "revoked alice\n"
    assert hubel("keys", "list").stdout == ""
    assert stat.S_ISREG(file.stat().st_mode)


def test_wrong_usage_says_what_to_do(hubel, assert_error, tmp_path):
    file = tmp_path / "keys.json"
    assert_error(hubel("keys", "list"), 2, "set HUBEL_KEYS_FILE")
    assert_error(hubel("keys", "list", "--file", file), 2, "hubel keys add")
    assert_error(hubel("keys", "revoke", "bob", "--file", file), 2, "doesn't exist")
    assert_error(hubel("keys", "add", "a b", "--file", file), 2, "can't be a key's name")
    assert hubel("keys", "add", "alice", "--file", file).exit_code == 0
    assert_error(hubel("keys", "add", "alice", "--file", file), 2, "already")
    assert_error(hubel("keys", "revoke", "bob", "--file", file), 2, "The keys are alice.")
    nowhere = tmp_path / "none" / "keys.json"
    assert_error(hubel("keys", "add", "alice", "--file", nowhere), 2, "No such file")
