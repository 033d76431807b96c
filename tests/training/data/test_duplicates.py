"""Duplicates are found and reported, and training uses one of several copies."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.bundle import InputSpec
from training.data import duplicates, findings, layout
from training.data.photos import read_photos

SPEC = InputSpec(size=32, crop=1.0, resample="box")


@pytest.fixture
def read(tmp_path):
    def run(**files):
        """Write files by name, with `__` for the slash, and read them."""
        for name, content in files.items():
            path = tmp_path / "data" / f"{name.replace('__', '/')}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        data = layout.scan_folder(tmp_path / "data")
        photos, unusable, _ = read_photos(data.files, [SPEC], tmp_path)
        doubles = duplicates.find(photos)
        found = findings.collect(data, photos, unusable, doubles)
        names = [photos[index].file.name for index in findings.used(photos, doubles)]
        return doubles, names, {finding.kind: finding.names for finding in found.found}

    return run


def plain(colour):
    file = io.BytesIO()
    Image.new("RGB", (90, 90), colour).save(file, "JPEG")
    return file.getvalue()


def test_a_photo_saved_again_or_smaller_is_a_near_duplicate(read, blob):
    doubles, names, found = read(
        red__a=blob("red", 1),
        red__b=blob("red", 1, quality=40),
        red__c=blob("red", 1, size=70),
        red__d=blob("red", 2),
    )
    assert doubles.alike == [[0, 1, 2]]
    assert doubles.exact == []
    assert len(names) == 4  # kept, on one side of the split
    assert found["near duplicates"] == ("red/a.jpg = red/b.jpg = red/c.jpg",)


def test_plain_pictures_of_other_colours_are_no_duplicates(read):
    doubles, _, _ = read(x__a=plain("red"), x__b=plain("blue"), x__c=plain((255, 0, 60)))
    assert doubles.alike == []


def test_one_of_several_copies_is_used(read, blob):
    _, names, found = read(red__a=blob("red", 1), red__b=blob("red", 1), red__c=blob("red", 2))
    assert names == ["red/a.jpg", "red/c.jpg"]
    assert found["copies"] == ("red/a.jpg = red/b.jpg",)


def test_a_photo_under_two_labels_is_left_out_and_a_near_duplicate_is_reported(read, blob):
    _, names, found = read(
        red__a=blob("red", 1),
        green__b=blob("red", 1),
        red__c=blob("red", 2),
        green__d=blob("red", 2, quality=40),
    )
    assert names == ["green/d.jpg", "red/c.jpg"]
    assert found["two labels"] == ("green/b.jpg = red/a.jpg",)
    assert found["near, two labels"] == ("green/d.jpg = red/c.jpg",)


def test_leaks_between_given_parts_are_named_and_left_as_they_are(read, blob):
    _, names, found = read(
        train__red__a=blob("red", 1),
        test__red__b=blob("red", 1),
        train__red__c=blob("red", 2),
        val__red__d=blob("red", 2, quality=40),
    )
    assert len(names) == 4
    assert found["leak"] == (
        "test/red/b.jpg = train/red/a.jpg",
        "train/red/c.jpg = val/red/d.jpg",
    )


def test_near_duplicates_do_not_depend_on_the_size_of_the_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    hashes = rng.random((90, 256)) < 0.4
    hashes[40], hashes[77] = hashes[3], hashes[3]
    hashes[77, :12] ^= True  # under 15 % of the bits that are set in either
    hashes[88] = hashes[5]
    hashes[88, :60] ^= True  # over 15 %
    thumbnails = rng.integers(0, 256, (90, 8, 8, 3), np.uint8)
    thumbnails[[40, 77]], thumbnails[88] = thumbnails[3], thumbnails[5]
    photos = [
        SimpleNamespace(sha256=str(i), hash=hashes[i], thumbnail=thumbnails[i]) for i in range(90)
    ]
    for block in (1, 7, 32, 500):
        monkeypatch.setattr(duplicates, "_BLOCK", block)
        assert duplicates.find(photos).alike == [[3, 40, 77]]
