"""benchmarks/dataset_uploads.py sends photos that differ, also without their metadata."""

import zipfile

from app import vision
from app.vision.metadata import without_metadata
from benchmarks import dataset_uploads


def test_the_photos_of_the_zip_differ(tmp_path):
    dataset_uploads.write_zip(tmp_path / "photos.zip", 6, 20)
    limits = vision.Limits(10**7, 10**7, 65_535)
    with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
        files = [archive.read(name) for name in archive.namelist()]
    assert len({without_metadata(data, limits)[0] for data in files}) == 6
    assert all(vision.read_header(data, limits).format == "jpeg" for data in files)
