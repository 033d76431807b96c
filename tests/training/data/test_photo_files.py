import shutil

import numpy as np
import pytest
from PIL import Image

from app.bundle import InputSpec
from training.data import photo_files
from training.errors import DataUnusable


@pytest.fixture
def data(tmp_path):
    for folder, colour in (("b", "red"), ("a", "blue")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (60, 40), colour).save(tmp_path / "data" / folder / "1.png")
    (tmp_path / "data" / "a" / ".hidden").write_bytes(b"")
    return tmp_path / "data"


def test_photos_are_sorted_and_carry_their_folder(data):
    found = photo_files.find(data)
    assert [(photo.name, photo.folder) for photo in found] == [("a/1.png", "a"), ("b/1.png", "b")]
    assert photo_files.truths(found, ["b", "a"]).tolist() == [1, 0]


def test_pixels_are_those_that_serving_reads(data):
    array = photo_files.pixels(photo_files.find(data), InputSpec(size=8, crop=1, resample="box"))
    assert array.shape == (2, 8, 8, 3)
    assert array.dtype == np.uint8
    assert (array[0] == [0, 0, 255]).all()


def test_the_fingerprint_knows_names_and_contents_but_not_the_place(data, tmp_path):
    first = photo_files.fingerprint(photo_files.find(data))
    copy = shutil.copytree(data, tmp_path / "copy")
    assert photo_files.fingerprint(photo_files.find(copy)) == first
    (copy / "a" / "1.png").rename(copy / "a" / "2.png")
    renamed = photo_files.fingerprint(photo_files.find(copy))
    (copy / "a" / "2.png").write_bytes(b"other")
    assert len({first, renamed, photo_files.fingerprint(photo_files.find(copy))}) == 3


def test_what_cannot_be_used_is_said(data, tmp_path):
    with pytest.raises(DataUnusable, match="is not a folder"):
        photo_files.find(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataUnusable, match="holds no photos"):
        photo_files.find(tmp_path / "empty")
    found = photo_files.find(data)
    with pytest.raises(DataUnusable, match="'b' is not a label id"):
        photo_files.truths(found, ["a"])
    found[0].path.write_bytes(b"no image")
    with pytest.raises(DataUnusable, match=r"a/1\.png can't be read"):
        photo_files.pixels(found, InputSpec(size=8, crop=1, resample="box"))
