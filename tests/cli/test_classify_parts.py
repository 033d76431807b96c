"""`hubel classify` into a folder of parts: it goes on after any end; a row for each photo."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from app.sources import plan as plans
from app.sources.errors import SourceUnavailable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(plans, "FILES_PER_SHARD", 2)


@pytest.fixture
def many(tmp_path, photo, models):
    """Folders and shards with 26 photos, three of them broken, and two files that are none."""
    folder = tmp_path / "many"
    folder.mkdir()
    red, green = photo("red"), photo("green")
    for number in range(11):
        (folder / f"{number:02}.jpg").write_bytes(red[:300] if number % 5 == 4 else green)
    (folder / "notes.txt").write_text("no photo")
    for name in ("a.tar", "b.tar", "c.tar"):
        with tarfile.open(folder / name, "w") as archive:
            for number in range(5):
                (tmp_path / "member").write_bytes(red)
                archive.add(tmp_path / "member", f"{number}.jpg")
    (folder / "c.tar").write_bytes((folder / "c.tar").read_bytes()[:-10240])
    return folder


def rows_of(folder):
    parts = sorted(folder.glob("part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def test_a_folder_has_a_part_for_each_shard_and_a_row_for_each_photo(
    hubel, models, many, tmp_path, small_shards, assert_error
):
    out = tmp_path / "out"
    result = hubel("classify", many, "--models", models, "--output", out, "--top-k", 1)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"skipped, no photos (1): {many / 'notes.txt'}"
    parts = [path.name for path in sorted(out.glob("*"))]
    assert parts == [".hubel"] + [f"part-{number:06}.jsonl" for number in range(9)]
    rows = rows_of(out)
    paths = [row["path"] for row in rows]
    assert len(rows) == len(set(paths)) == 11 + 3 * 5 + (str(many / "c.tar") in paths)
    first = rows[0]
    data = (many / "00.jpg").read_bytes()
    assert (first["sha256"], first["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (first["format"], first["width"], first["height"]) == ("jpeg", 480, 480)
    assert first["predictions"][0]["label"] == "green"
    broken = rows[4]
    assert (broken["error"]["code"], broken["size"]) == ("broken_image", 300)
    assert f"{many / 'a.tar'}/4.jpg" in paths


def test_a_finished_run_does_nothing_again(hubel, models, many, tmp_path, monkeypatch):
    arguments = ("classify", many, "--models", models, "--output", tmp_path / "out")
    first = hubel(*arguments, "--skipped", tmp_path / "skipped.txt")
    files = {path: path.read_bytes() for path in (tmp_path / "out").glob("part*")}
    times = [path.stat().st_mtime_ns for path in files]
    from app.runtime import bulk

    monkeypatch.setattr(bulk, "classify", lambda *_: pytest.fail("it was classified again"))
    (tmp_path / "skipped.txt").unlink()
    again = hubel(*arguments, "--skipped", tmp_path / "skipped.txt")
    assert (again.exit_code, again.stderr) == (first.exit_code, first.stderr)
    assert [path.stat().st_mtime_ns for path in files] == times
    assert (tmp_path / "skipped.txt").read_text() == f"{many / 'notes.txt'}\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--top-k", 2], "is of a run with top_k 3, and this run has 2."),
        (["--embedding"], "has no embedding"),
        (["--format", "csv"], "with format jsonl, and this run has csv."),
        (["--format", "table"], "would be a folder of parts, which are no tables."),
        (["--image-column", "jpg"], "with image_column None, and this run has jpg."),
        ([__file__], "is of a run with sources "),
    ],
    ids=str,
)
def test_a_run_with_other_settings_is_refused(
    hubel, models, photos, tmp_path, options, words, assert_error
):
    arguments = ("classify", photos, "--models", models, "--output", tmp_path / "out")
    assert hubel(*arguments).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    result = hubel(*arguments, *options)
    assert_error(result, 2, words)
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_with_other_files_or_another_model_is_refused(
    hubel, make_bundle, models, photos, photo, tmp_path, assert_error
):
    arguments = ("classify", photos, "--models", models, "--output", tmp_path / "out")
    assert hubel(*arguments).exit_code == 0
    (photos / "new.jpg").write_bytes(photo("red"))
    words = "it had 3 photos and 0 tar or Parquet files, and there are 4 photos"
    assert_error(hubel(*arguments), 2, words)
    (photos / "new.jpg").unlink()
    make_bundle(models, "colours", version=2)
    assert_error(hubel(*arguments), 2, "run with version 1, and this run has 2. Run it with the")


def test_a_folder_with_other_files_is_refused_and_kept(
    hubel, models, photos, tmp_path, assert_error
):
    arguments = ("classify", photos, "--models", models, "--output")
    assert_error(hubel(*arguments, photos), 2, "holds other files, such as a.jpg.")
    assert not (photos / ".hubel").exists()
    (tmp_path / "rows.txt").write_text("mine")
    result = hubel(*arguments, tmp_path / "rows.txt")
    assert_error(result, 2, "its name ends in none of .jsonl, .csv and .parquet.")
    result = hubel(*arguments, tmp_path / "none" / "out")
    assert_error(result, 2, "can't be written (No such file or directory).")


def test_two_runs_never_share_a_folder(hubel, models, photos, tmp_path, assert_error):
    from app.bulk.part_folder import PartFolder

    with PartFolder(tmp_path / "out", "jsonl"):
        result = hubel("classify", photos, "--models", models, "--output", tmp_path / "out")
    assert_error(result, 2, "Another run writes to")


def test_a_folder_inside_its_source_is_left_out(hubel, models, photos):
    arguments = ("classify", photos, "--models", models, "--output", photos / "out")
    for _ in range(2):
        result = hubel(*arguments)
        assert (result.exit_code, result.stderr) == (0, "")
    assert len(rows_of(photos / "out")) == 3


def test_a_store_that_fails_ends_the_run_and_keeps_what_is_done(
    hubel, models, photos, tmp_path, small_shards, monkeypatch, assert_error
):
    from app.sources import local_files

    read_file = local_files.read_file

    def unavailable(path, max_bytes):
        if path.endswith("c.png"):
            raise SourceUnavailable("The network is down. Try again later.")
        return read_file(path, max_bytes)

    monkeypatch.setattr(local_files, "read_file", unavailable)
    arguments = ("classify", photos, "--models", models, "--output", tmp_path / "out")
    assert_error(hubel(*arguments), 2, "The network is down.")
    assert len(rows_of(tmp_path / "out")) == 2
    monkeypatch.setattr(local_files, "read_file", read_file)
    assert hubel(*arguments).exit_code == 0
    assert len(rows_of(tmp_path / "out")) == 3
    assert sorted(path.name for path in (tmp_path / "out" / ".hubel").iterdir()) == [
        "lock", "part-000000.json", "part-000001.json", "run.json", "shards.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_the_suffix_of_a_file_names_its_format(hubel, models, photos, tmp_path, form):
    out = tmp_path / f"rows.{form}"
    assert hubel("classify", photos, "--models", models, "--output", out).exit_code == 0
    if form == "parquet":
        assert pyarrow.parquet.read_table(out).num_rows == 3
    else:
        assert len(out.read_text().splitlines()) == 3 + (form == "csv")


SLOW = """
import sys, time
from app.sources import local_files, plan
from app.runtime import discovery
from pathlib import Path
plan.FILES_PER_SHARD = 2
discovery.BUILT_IN_MODELS = Path(sys.argv.pop(1))
read_file = local_files.read_file
def slow(path, max_bytes):
    time.sleep(0.1)
    return read_file(path, max_bytes)
local_files.read_file = slow
from app.cli import main
main()
"""


def test_no_row_is_lost_or_doubled_when_a_run_is_killed_again_and_again(
    hubel, models, many, tmp_path, small_shards
):
    arguments = ("classify", many, "--models", models, "--output")
    assert hubel(*arguments, tmp_path / "whole").exit_code == 1
    out = tmp_path / "killed"
    command = [
        sys.executable,
        "-c",
        SLOW,
        str(tmp_path / "built-in"),
        *map(str, arguments),
        str(out),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for parts in (1, 4, 7):
        run = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        until = time.monotonic() + 120
        while len(list(out.glob("part-*"))) < parts and run.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        _, errors = run.communicate()
        assert run.returncode == -signal.SIGKILL, errors
    assert hubel(*arguments, out).exit_code == 1
    assert rows_of(out) == rows_of(tmp_path / "whole")
    assert not list(out.rglob("*.tmp"))
