"""The default model on real labelled photos, with the commands that a user types."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PHOTOS = os.environ.get("HUBEL_TEST_PHOTOS")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(PHOTOS is None, reason="HUBEL_TEST_PHOTOS names no folder of photos"),
]


def hubel(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("hubel")), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_default_model_is_accurate_on_real_photos():
    figures = json.loads(hubel("evaluate", "model/imagenet", f"{PHOTOS}/imagenet-sample", "--json"))
    assert figures["images"] == 250
    assert figures["top1"] >= 0.87
    assert figures["top5"] >= 0.97
    assert not figures["failed"]


def test_every_photo_of_cats_and_dogs_is_classified(tmp_path):
    output = tmp_path / "rows.jsonl"
    hubel("classify", f"{PHOTOS}/cats-dogs", "--format", "jsonl", "--output", str(output))
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 1399
    assert all(row["predictions"] for row in rows)
