"""The folders that a bundle is built in are removed, also those of a killed run."""

import signal
import subprocess
import sys

import pytest

from training.packaging.staging import folder_beside

_BUILDS = """
import sys, time
from pathlib import Path
from training.packaging.staging import folder_beside
with folder_beside(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("written")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def running(tmp_path):
    """Start another process that is building `tmp_path / "pets"`; return it and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _BUILDS, tmp_path / "pets"], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def _names(folder):
    return sorted(str(path) for path in folder.iterdir())


def test_a_run_leaves_no_folder_behind(tmp_path):
    with folder_beside(tmp_path / "pets") as folder:
        (folder / "model.onnx").write_bytes(b"x")
        assert _names(tmp_path) == [str(folder)]
    assert _names(tmp_path) == []


def test_the_folder_of_a_killed_run_is_removed_by_the_next_run(tmp_path, running):
    process, folder = running
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _names(tmp_path) == [folder]
    with folder_beside(tmp_path / "pets") as own:
        assert _names(tmp_path) == [str(own)]


def test_the_folder_of_a_live_run_is_left_alone(tmp_path, running):
    _, folder = running
    with folder_beside(tmp_path / "pets") as own:
        assert _names(tmp_path) == sorted([folder, str(own)])
    assert _names(tmp_path) == [folder]


@pytest.mark.parametrize("other", ["cats", "pets.v2", "[ep]ts"])
def test_the_folder_of_another_output_is_left_alone(tmp_path, running, other):
    process, folder = running
    process.kill()
    process.wait()
    with folder_beside(tmp_path / other):
        assert folder in _names(tmp_path)
    assert _names(tmp_path) == [folder]
