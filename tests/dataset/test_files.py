"""Every file below a folder is listed once, whatever links it has."""

import os
from pathlib import Path

import pytest

from app.dataset.files import is_photo, list_below


def _names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.jpg", "a/deep/2.jpg", "b/3.heic", ".hidden/4.jpg", "a/.5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_files_and_folders_are_listed_in_order_without_hidden_ones(folder):
    listing = list_below(folder)
    assert _names(listing.files, folder) == ["a/1.jpg", "a/deep/2.jpg", "b/3.heic"]
    assert _names(listing.folders, folder) == ["a", "a/deep", "b"]
    assert listing.skipped == []


@pytest.mark.parametrize("target", [".", "..", "../.."], ids=str)
def test_a_cycle_of_links_ends(folder, target):
    (folder / "a" / "deep" / "loop").symlink_to(folder / "a" / "deep" / target)
    listing = list_below(folder / "a", (folder,))
    assert "loop/loop" not in str(listing.files)
    assert len(listing.files) == 2
    assert len(listing.skipped) == 1


def test_links_between_two_folders_end(folder):
    (folder / "a" / "to b").symlink_to(folder / "b")
    (folder / "b" / "to a").symlink_to(folder / "a")
    listing = list_below(folder)
    assert len(listing.files) == 3
    assert len(listing.skipped) == 2


def test_a_link_to_itself_and_a_broken_link_count_as_files(folder):
    (folder / "b" / "self.jpg").symlink_to(folder / "b" / "self.jpg")
    (folder / "b" / "gone").symlink_to(folder / "nowhere")
    assert _names(list_below(folder / "b").files, folder) == ["b/3.heic", "b/gone", "b/self.jpg"]
    assert is_photo(folder / "b" / "gone")


def test_a_pipe_is_skipped_and_never_opened(folder):
    os.mkfifo(folder / "b" / "pipe.jpg")
    ((path, reason),) = list_below(folder).skipped
    assert (path.name, reason) == ("pipe.jpg", "it is no regular file")


def test_a_folder_that_cannot_be_read_counts_as_a_file(folder, monkeypatch):
    iterdir = Path.iterdir

    def refuse(path):
        if path == folder / "b":  # root could read it in spite of its mode
            raise PermissionError(13, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert folder / "b" in list_below(folder).files


@pytest.mark.parametrize(
    ("name", "content", "counts"),
    [
        ("a.JPG", b"text", True),
        ("photo", b"\xff\xd8\xff\xe0", True),
        ("two.mpo", b"\xff\xd8\xff\xe1", True),
        ("new.heic", b"\0\0\0\x18ftypheic", True),
        ("notes.txt", b"to do", False),
        ("empty", b"", False),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0", False),
    ],
)
def test_a_file_counts_as_a_photo_by_its_suffix_or_its_bytes(tmp_path, name, content, counts):
    (tmp_path / name).write_bytes(content)
    assert is_photo(tmp_path / name) == counts
