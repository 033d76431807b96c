"""Files are whole or not there."""

import errno
import os

import pytest

from app.durable_files import write_file


def test_a_file_is_replaced_with_the_mode_that_is_asked_for(tmp_path):
    file = tmp_path / "keys.json"
    file.write_bytes(b"old")
    write_file(file, b"new", mode=0o600)
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["keys.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch, call):
    file = tmp_path / "keys.json"
    file.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        write_file(file, b"new")
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["keys.json"]
