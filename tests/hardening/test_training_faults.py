"""Training that is killed, or whose disk fills up, leaves the old bundle or a new one, both whole.

The control is a run that nothing disturbs. Its bundle is the old one of all others.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import bundle as bundles

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
HUES = {"red": (1.0, 0.3, 0.2), "green": (0.2, 1.0, 0.3)}
BUILDING, REPLACED = ".pets.*.building", ".pets.*.replaced"


def photo(hue: str, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(40, 256, (6, 6, 1))
    pixels = (noise * np.array(HUES[hue])).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def train(data: Path, output: Path, version: int, **options) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from app.cli import main; main()", "train", data]
    command += ["--output", output, "--version", str(version)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **pipes, **options)


@dataclass(frozen=True)
class Control:
    data: Path
    bundle: Path
    seconds: float

    def copy(self, models: Path) -> Path:
        """Copy the old bundle into `models`; return its place."""
        shutil.copytree(self.bundle, models / "pets")
        return models / "pets"


@pytest.fixture(scope="module")
def control(tmp_path_factory) -> Control:
    data = tmp_path_factory.mktemp("data")
    for start, hue in enumerate(HUES):
        (data / hue).mkdir()
        for index in range(12):
            (data / hue / f"{index:02}.jpg").write_bytes(photo(hue, 100 * start + index))
    output = tmp_path_factory.mktemp("control") / "pets"
    began = time.monotonic()
    process = train(data, output, 1)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return Control(data, output, time.monotonic() - began)


def version_of_whole(folder: Path) -> int:
    """Return the version of a bundle, after checking each of its files."""
    bundle = bundles.load(folder)
    bundles.verify_files(bundle)
    return bundle.manifest.version


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def kill_when(process: "subprocess.Popen[str]", is_time: Callable[[], bool]) -> str:
    """Kill training at the moment, unless it ends before; return what it said."""
    while process.poll() is None and not is_time():
        time.sleep(0.0005)
    process.kill()
    return process.communicate()[0]


def test_training_killed_at_any_moment_leaves_a_whole_bundle(control, tmp_path):
    output = control.copy(tmp_path)
    expected, killed = {1}, 0
    rng = random.Random(20)
    moments: list[float | str] = [
        *(rng.uniform(0.1, 1) for _ in range(2)),
        f"{BUILDING}/model.onnx",
        f"{BUILDING}/report/*",
        f"{BUILDING}/{bundles.MANIFEST}",
        REPLACED,
    ]
    for version, moment in enumerate(moments, start=2):
        began = time.monotonic()

        def is_time(moment=moment, began=began) -> bool:
            if isinstance(moment, str):
                return any(tmp_path.glob(moment))
            return time.monotonic() - began > moment * control.seconds

        process = train(control.data, output, version)
        said = kill_when(process, is_time)
        killed += process.returncode == -signal.SIGKILL
        expected.add(version)
        # Between two renames, the old bundle stands beside its place.
        (found,) = [output] if output.exists() else tmp_path.glob(REPLACED)
        assert version_of_whole(found) in expected, (moment, said)

    assert killed >= len(moments) - 2, "the others ended before their moment"
    process = train(control.data, output, 100)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert version_of_whole(output) == 100
    assert os.listdir(tmp_path) == ["pets"]  # what killed runs left is gone


def small_disk(folder: Path, size: int) -> bool:
    """Mount a disk of `size` bytes on `folder`, if this process may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    return (
        shutil.which("mount") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


def allow_files_of(size: int) -> Callable[[], None]:
    """Limit the size of each file that a new process writes, as a disk without room does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("share", [0.6, 0.97], ids=["before the graph", "in the graph"])
def test_a_disk_that_fills_up_leaves_the_old_bundle_as_it_was(control, tmp_path, share):
    disk = tmp_path / "disk"
    disk.mkdir()
    graph_bytes = (control.bundle / "model.onnx").stat().st_size
    old_bytes = sum(len(content) for content in contents(control.bundle).values())
    room = int(graph_bytes * share)
    is_mounted = small_disk(disk, old_bytes + room)
    try:
        output = control.copy(disk)
        before = contents(output)
        limit = {} if is_mounted else {"preexec_fn": allow_files_of(room)}
        process = train(control.data, output, 2, **limit)
        said, _ = process.communicate()
        assert process.returncode == 2, said
        assert "Traceback" not in said
        assert said.splitlines()[-1].endswith("Make room, or name an --output on a larger disk.")
        assert contents(output) == before
        assert os.listdir(disk) == ["pets"]
    finally:
        if is_mounted:
            subprocess.run(["umount", disk], check=True)
    if not is_mounted:
        assert os.listdir(tmp_path) == ["disk"]
