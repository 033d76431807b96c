"""benchmarks/capture_cost.py sends photos that differ, and compares rounds."""

from app import vision
from app.vision.metadata import without_metadata
from benchmarks import capture_cost, observability


def test_the_photos_differ_without_their_metadata(tmp_path):
    capture_cost.write_photos(observability.GOLDEN, tmp_path, 30)
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    limits = vision.Limits(10**7, 10**7, 65_535)
    assert len({without_metadata(data, limits)[0] for data in files}) == 30
    assert vision.read_header(files[0], limits).format == "jpeg"


def test_the_table_compares_with_the_server_that_keeps_none():
    measured = {"off": [100.0, 200.0], "nothing": [99.0, 198.0], "everything": [90.0, 180.0]}
    off, nothing, everything = capture_cost.table(measured).splitlines()[2:]
    assert off == "| off | 150.0 |  |"
    assert nothing == "| nothing | 148.5 | 0.990 ± 0.000 |"
    assert everything == "| everything | 135.0 | 0.900 ± 0.000 |"
