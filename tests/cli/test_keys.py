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
    assert listed.endswith("  unlimited\n")
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


def test_limits_are_added_listed_replaced_and_removed(hubel, assert_error, tmp_path):
    to = ("--file", tmp_path / "keys.json")
    hubel("keys", "add", "alice", "--requests-per-second", "10", "--concurrent-requests", "4", *to)
    listed = hubel("keys", "list", *to).stdout
    assert listed.endswith("  10 requests/s, 4 concurrent requests\n")
    limited = hubel("keys", "limit", "alice", "--images-per-minute", "600", *to)
    assert limited.stdout == "alice: 600 images/min\n"
    assert hubel("keys", "limit", "alice", *to).stdout == "alice: unlimited\n"
    assert "limits" not in (tmp_path / "keys.json").read_text()
    assert_error(hubel("keys", "limit", "bob", *to), 2, "The keys are alice.")
    assert_error(
        hubel("keys", "add", "bob", "--images-per-minute", "0", *to), 2, "not in the range"
    )
