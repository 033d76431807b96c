"""`hubel duplicates`: copies and near duplicates, printed or as CSV."""

import csv
import io

import numpy as np
import pytest
from PIL import Image


def picture(seed, quality=90, side=120):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8))
    file = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(picture(1))
    (folder / "copy.jpg").write_bytes(picture(1))
    (folder / "more/small.jpg").write_bytes(picture(1, quality=50, side=90))
    (folder / "other.jpg").write_bytes(picture(2))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_copies_and_near_duplicates_are_listed_and_nothing_is_deleted(hubel, photos):
    before = sorted(photos.rglob("*"))
    result = hubel("duplicates", photos)
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[:5] == [
        ["copies"],
        ["1.00", str(photos / "a.jpg")],
        ["1.00", str(photos / "copy.jpg")],
        ["near", "duplicates"],
        ["1.00", str(photos / "a.jpg")],
    ]
    assert [path for _, path in lines[5:]] == [str(photos / "more/small.jpg")]
    assert (
        "4 photos: 2 are copies, in 1 groups; 2 are near duplicates, in 1 groups" in result.stderr
    )
    assert "broken.jpg is left out" in result.stderr
    assert sorted(photos.rglob("*")) == before


def test_several_paths_to_one_file_are_no_copies(hubel, photos, tmp_path, monkeypatch):
    (photos / "copy.jpg").unlink()
    (photos / "0.jpg").symlink_to("a.jpg")
    (photos / "more/hard.jpg").hardlink_to(photos / "other.jpg")
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    skipped = tmp_path / "skipped.txt"
    result = hubel(
        "duplicates", "photos", photos, "link", "photos/../photos/a.jpg", "--skipped", skipped
    )
    assert result.exit_code == 0, result.stderr
    assert "3 photos: 0 are copies, in 0 groups; 2 are near duplicates" in result.stderr
    listed = result.stdout.split()
    assert [path for path in listed if path.endswith(".jpg")] == [
        "photos/a.jpg", "photos/more/small.jpg",
    ]  # fmt: skip
    assert "skipped, read already (15): " in result.stderr
    assert {"photos/0.jpg", "link/0.jpg"} <= set(skipped.read_text().splitlines())


def test_groups_as_csv(hubel, photos, tmp_path, assert_error):
    output = tmp_path / "groups.csv"
    assert hubel("duplicates", photos, "--output", output).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [(row["group"], row["kind"]) for row in rows] == [
        ("1", "copies"),
        ("1", "copies"),
        ("2", "near"),
        ("2", "near"),
    ]
    assert (rows[3]["width"], rows[3]["height"]) == ("90", "90")
    assert 0.9 < float(rows[3]["similarity"]) < 1
    assert_error(
        hubel("duplicates", photos, "--output", photos / "a.jpg"), 2, "one of the photos to read"
    )
    (tmp_path / "empty").mkdir()
    assert_error(hubel("duplicates", tmp_path / "empty"), 2, "There are no photos")
