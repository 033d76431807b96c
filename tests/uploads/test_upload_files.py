"""Files that wait for an import: kept, found, and removed in time."""

import os
import time

import pytest

from app.errors import NotAModel, UnknownUpload
from app.uploads import UploadFiles


@pytest.fixture
def files(tmp_path):
    return UploadFiles(tmp_path, keep_s=100)


def keep(files, data):
    body = files.new_file()
    body.write_bytes(data)
    return files.keep(body)


def test_a_model_is_kept_until_it_expires(files, graph, tmp_path):
    upload = keep(files, graph().SerializeToString())
    assert files.path(upload.id) == upload.path
    assert [value.name for value in upload.outline.inputs] == ["image"]
    os.utime(upload.path, (0, 0))
    with pytest.raises(UnknownUpload):
        files.path(upload.id)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_the_oldest_makes_room(files, graph):
    data = graph().SerializeToString()
    uploads = []
    for number in range(9):
        uploads.append(keep(files, data))
        os.utime(uploads[-1].path, (time.time() - 50 + number,) * 2)
    with pytest.raises(UnknownUpload):
        files.path(uploads[0].id)
    assert files.path(uploads[1].id)


@pytest.mark.parametrize("id", ["", "x", "../" + "0" * 32, "0" * 32])
def test_other_ids_are_unknown(files, id):
    with pytest.raises(UnknownUpload):
        files.path(id)


def test_a_start_removes_what_was_left(files, tmp_path):
    with pytest.raises(NotAModel):
        keep(files, b"x")
    (files.new_folder() / "golden").mkdir(parents=True)
    (tmp_path / "uploads/mine.body").touch()
    assert len(list((tmp_path / "uploads").iterdir())) == 3
    UploadFiles(tmp_path, keep_s=100)
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["mine.body"]
