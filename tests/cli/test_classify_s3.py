"""`hubel classify` on S3: photos and shards of a bucket of moto's server."""

import json
import tarfile

import pytest

from app.sources import remote_files

obstore = pytest.importorskip("obstore")


def test_photos_and_shards_of_a_bucket_have_a_row_each(
    s3_endpoint, hubel, models, photo, tmp_path, assert_error
):
    remote_files._store.cache_clear()
    store, _ = remote_files._open_store("s3://models")
    red, green = photo("red"), photo("green")
    (tmp_path / "member").write_bytes(green)
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for number in range(3):
            archive.add(tmp_path / "member", f"{number}.jpg")
    for name in ("a.jpg", "b/c.jpg", "b/key without suffix"):
        obstore.put(store, f"bulk/{name}", red)
    obstore.put(store, "bulk/labels.json", b"{}")
    obstore.put(store, "bulk/s.tar", (tmp_path / "s.tar").read_bytes())
    arguments = ("--models", models, "--top-k", 1, "--output", tmp_path / "out")
    result = hubel("classify", "s3://models/bulk", *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "skipped, no photos (1): s3://models/bulk/labels.json\n"
    parts = sorted((tmp_path / "out").glob("part-*"))
    rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert {row["path"]: row["predictions"][0]["label"] for row in rows} == {
        "s3://models/bulk/a.jpg": "red",
        "s3://models/bulk/b/c.jpg": "red",
        "s3://models/bulk/b/key without suffix": "red",
        **{f"s3://models/bulk/s.tar/{number}.jpg": "green" for number in range(3)},
    }
    again = hubel("classify", "s3://models/bulk", *arguments)
    assert (again.exit_code, again.stderr) == (0, result.stderr)
    nothing = hubel("classify", "s3://models/none", "--models", models)
    assert_error(nothing, 2, "There are no files in s3://models/none. Correct the address.")
    remote_files._store.cache_clear()
