"""The made photos and the measured peaks of the benchmark of many photos."""

import sys

from PIL import Image

from benchmarks.many_photos import make_photos, peaks


def test_photos_lie_in_a_folder_for_each_class(tmp_path):
    make_photos(tmp_path / "data", photos=6, classes=2, size=32)
    files = sorted((tmp_path / "data").rglob("*.jpg"))
    assert [file.parent.name for file in files] == ["0000"] * 3 + ["0001"] * 3
    with Image.open(files[0]) as image:
        assert image.size == (32, 32)


def test_the_peak_of_a_process_is_measured(tmp_path):
    command = [sys.executable, "-c", "import time; a = bytearray(60_000_000); time.sleep(0.5)"]
    private, resident, seconds = peaks(command, tmp_path / "log")
    assert 55 < private <= resident
    assert seconds > 0.4
