"""The command line as a shell runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

HUBEL = str(Path(sys.executable).with_name("hubel"))


def test_the_health_check_uses_no_proxy(start):
    server = start()
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "HUBEL_PORT": str(server.port)}
    done = subprocess.run([HUBEL, "health"], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_name_that_is_not_utf8_is_classified(tmp_path, cat_photo):
    file = os.fsencode(tmp_path) + b"/cat-\xff.jpg"
    with open(file, "wb") as out:
        out.write(cat_photo)
    output = tmp_path / "rows.csv"
    command = [HUBEL, "classify", str(tmp_path), "--format", "csv", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cat-?.jpg,Egyptian cat" in output.read_text(encoding="utf-8")


def test_a_closed_output_pipe_ends_the_command_silently(imagenet):
    line = f"{HUBEL} classify {imagenet}/golden {imagenet}/golden | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
