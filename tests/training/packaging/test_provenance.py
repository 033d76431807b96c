"""The commit that a bundle names."""

import os
import shutil
import subprocess

import pytest

from training.packaging.provenance import git_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def _git(folder, *arguments):
    identity = ("-c", "user.name=Hubel", "-c", "user.email=hubel@localhost")
    command = ["git", *identity, "-c", "commit.gpgsign=false", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A repository with one commit of one file."""
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "file.txt").write_text("one")
    _git(tmp_path, "add", "file.txt")
    _git(tmp_path, "commit", "--quiet", "--message", "One")
    return tmp_path


def test_the_commit_is_named(checkout):
    assert git_commit(checkout) == _git(checkout, "rev-parse", "HEAD")


def test_a_detached_commit_is_named(checkout):
    _git(checkout, "checkout", "--quiet", "--detach")
    assert git_commit(checkout) == _git(checkout, "rev-parse", "HEAD")


def test_files_that_git_does_not_know_change_nothing(checkout):
    (checkout / "notes.txt").write_text("two")
    assert git_commit(checkout) == _git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("staged", [False, True], ids=["in a file", "in the index"])
def test_a_changed_file_adds_dirty(checkout, staged):
    (checkout / "file.txt").write_text("two")
    if staged:
        _git(checkout, "add", "file.txt")
    assert git_commit(checkout) == _git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_without_a_commit_git_commit_is_none(tmp_path):
    assert git_commit(tmp_path) is None
    _git(tmp_path, "init", "--quiet")
    assert git_commit(tmp_path) is None


def test_without_git_git_commit_is_none(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit(checkout) is None


def test_the_index_is_left_alone(checkout):
    index = checkout / ".git" / "index"
    before = index.read_bytes(), index.stat().st_ino
    os.utime(checkout / "file.txt", (0, 0))  # git would note the new time
    git_commit(checkout)
    assert (index.read_bytes(), index.stat().st_ino) == before
