"""SIGTERM ends a command as Ctrl-C does: no temporary file is left, and the exit code is 143."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = """
import sys, time
from pathlib import Path
from app.runtime import discovery
from app.sources import local_files, plan
from training.data import duplicate_groups

plan.FILES_PER_SHARD = 2
discovery.BUILT_IN_MODELS = Path(sys.argv.pop(1))
read_file = local_files.read_file

def slow_file(path, max_bytes):
    time.sleep(0.5)
    return read_file(path, max_bytes)

def slow_photos(files, specs, folder):
    (folder / "pixels").touch()
    time.sleep(600)

local_files.read_file = slow_file
duplicate_groups.read_photos = slow_photos
from app.cli import main
main()
"""


@pytest.fixture
def many(photos, photo):
    for number in range(40):
        (photos / f"{number}.jpg").write_bytes(photo("red"))
    return photos


@pytest.fixture
def end_at(tmp_path):
    """Run a command in a process of its own, and send SIGTERM as soon as a pattern matches."""

    def run(pattern, *arguments):
        (tmp_path / "temporary").mkdir(exist_ok=True)
        (tmp_path / "no models").mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, tmp_path / "no models", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")},
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 120
        while not list(tmp_path.glob(pattern)) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
        assert "Traceback" not in errors
        assert not list((tmp_path / "temporary").iterdir())
        return process.returncode

    return run


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_output_file_is_left_as_it_was(models, many, tmp_path, end_at, form):
    output = tmp_path / f"rows.{form}"
    output.write_text("old")
    arguments = ("classify", many, "--models", models, "--output", output)
    assert end_at(f".rows.{form}.*.part", *arguments) == 143
    assert [path.name for path in tmp_path.iterdir() if "rows" in path.name] == [output.name]
    assert output.read_text() == "old"


def test_a_folder_of_parts_keeps_what_is_done(hubel, models, many, tmp_path, end_at):
    output = tmp_path / "out"
    arguments = ("classify", many, "--models", models, "--output", output)
    assert end_at("out/part-000001.jsonl", *arguments) == 143
    assert not list(output.rglob("*.tmp"))
    done = {part: part.stat().st_mtime_ns for part in output.glob("part-*")}
    assert 2 <= len(done) < 22
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.sources.plan.FILES_PER_SHARD", 2)
        assert hubel(*arguments).exit_code == 0
    assert {part: part.stat().st_mtime_ns for part in done} == done
    parts = sorted(output.glob("part-*"))
    paths = [json.loads(line)["path"] for part in parts for line in part.read_text().splitlines()]
    assert len(paths) == len(set(paths)) == 43


def test_duplicates_leaves_no_temporary_pictures(photos, end_at):
    assert end_at("temporary/hubel-duplicates-*/pixels", "duplicates", photos) == 143
