"""Photos are read once, through the pixels of the service, and have a fingerprint."""

import shutil

import numpy as np
import pytest
from PIL import Image

from app.bundle import InputSpec
from training.data import layout
from training.data.photos import fingerprint, read_all, read_pixels
from training.errors import DataUnusable

SPEC = InputSpec(size=8, crop=1, resample="box")
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000f494441"
    "547801010400fbff00ff0000030101008d1de5820000000049454e44ae426082"
)
"""One red pixel."""
_FINGERPRINT = "f66e34eb0e5e9c039e1c8afbab7b82ec7a96033edbadc29129c8268bfad15a5f"


@pytest.fixture
def data(tmp_path):
    for folder, colour in (("b", "red"), ("a", "blue")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (60, 40), colour).save(tmp_path / "data" / folder / "1.png")
    (tmp_path / "data" / "a" / ".hidden").write_bytes(b"")
    return tmp_path / "data"


@pytest.fixture
def read(tmp_path_factory):
    def run(data):
        return read_all(layout.scan_folder(data).files, SPEC, tmp_path_factory.mktemp("pixels"))

    return run


def test_photos_are_sorted_and_carry_their_folder(data, read):
    photos, _ = read(data)
    names = [(photo.file.name, photo.file.label) for photo in photos]
    assert names == [("a/1.png", "a"), ("b/1.png", "b")]
    files = [photo.file for photo in photos]
    assert layout.class_indices(files, ["b", "a"]).tolist() == [1, 0]


def test_pixels_are_those_that_serving_reads(data, read):
    photos, pixels = read(data)
    assert pixels.shape == (2, 8, 8, 3)
    assert pixels.dtype == np.uint8
    assert (pixels[0] == [0, 0, 255]).all()
    assert (read_pixels([photo.file.path for photo in photos], SPEC) == pixels).all()


def test_the_fingerprint_depends_on_names_and_contents_but_not_on_the_folder(data, read, tmp_path):
    first = fingerprint(read(data)[0])
    copy = shutil.copytree(data, tmp_path / "copy")
    assert fingerprint(read(copy)[0]) == first
    (copy / "a" / "1.png").rename(copy / "a" / "2.png")
    renamed = fingerprint(read(copy)[0])
    Image.new("RGB", (60, 40), "black").save(copy / "a" / "2.png")
    assert len({first, renamed, fingerprint(read(copy)[0])}) == 3


def test_the_fingerprint_of_these_photos_never_changes(tmp_path, read):
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "1.png").write_bytes(_PNG)
    photos, _ = read(tmp_path / "data")
    assert fingerprint(photos) == _FINGERPRINT


def test_a_file_that_cannot_be_decoded_is_named(data, read):
    (data / "a" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataUnusable, match=r"a/1\.png can't be read: .*\. Remove or repair it"):
        read(data)


def test_a_folder_that_is_no_label_id_is_named(data):
    files = layout.scan_folder(data).files
    with pytest.raises(DataUnusable, match="'b' is not a label id"):
        layout.class_indices(files, ["a"])
