"""Training that is killed, or whose disk fills up, leaves the old bundle or a new one, both whole.

The control is a run that nothing disturbs. Its bundle is the old one of all others.
"""

import os
import resource
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.hardening import training_kills
from benchmarks.hardening.training_kills import FILES, train, version_of_whole
from tests.hardening.disks import small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Control:
    data: Path
    bundle: Path

    def copy(self, models: Path) -> Path:
        """Copy the old bundle into `models`; return its place."""
        shutil.copytree(self.bundle, models / training_kills.NAME)
        return models / training_kills.NAME


@pytest.fixture(scope="module")
def control(tmp_path_factory) -> Control:
    data = tmp_path_factory.mktemp("data")
    training_kills.write_photos(data)
    output = tmp_path_factory.mktemp("control") / "pets"
    process = train(data, output, 1)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return Control(data, output)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_training_that_is_killed_while_it_replaces_a_bundle_leaves_it_beside_its_place(
    control, tmp_path
):
    output = control.copy(tmp_path)
    for stop in training_kills.stops(control.data, output, 2):
        assert stop.problem is None
        if not output.exists():  # the old bundle was moved away
            stop.process.kill()
    assert stop.process.returncode == -signal.SIGKILL
    assert not output.exists()

    # The next run finds what the killed one left; it would leave a whole bundle at any change.
    found = list(training_kills.stops(control.data, output, 3))
    assert [stop.problem for stop in found if stop.problem] == []
    assert set().union(*(stop.files for stop in found)) == set(FILES)
    assert found[-1].process.returncode == 0
    assert version_of_whole(output) == 3
    assert os.listdir(tmp_path) == ["pets"]


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
    with small_disk(disk, old_bytes + room) as is_mounted:
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
    if not is_mounted:
        assert os.listdir(tmp_path) == ["disk"]
