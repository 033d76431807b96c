"""The benchmark of bulk classification makes its photos and counts its rows."""

import zipfile

from benchmarks import bulk


def test_the_memory_of_a_run_and_its_rows_are_reported(
    make_bundle, photo, tmp_path, monkeypatch, capfd
):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.jpg", photo("red"))
    monkeypatch.setattr(bulk, "_SHARD_PHOTOS", 2)
    models = make_bundle().folder.parent
    monkeypatch.setenv("HUBEL_DEFAULT_MODEL", "colours")
    bulk.main(["memory", "--zip", str(tmp_path / "photos.zip"), "--models", str(models)])
    printed = capfd.readouterr().out
    assert "rows 6, different paths 6" in printed
    assert "exit code 0" in printed


def test_large_photos_are_a_few_and_links_to_them(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "_LARGE_SIZE", (40, 30))
    monkeypatch.setattr(bulk, "_LARGE_PHOTOS", 2)
    assert bulk.make_large(tmp_path, 5) == 5
    assert len({path.stat().st_ino for path in tmp_path.iterdir()}) == 2
