"""Two processes train the network that one does, and `hubel train --processes` starts them."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from app import bundle as bundles  # noqa: E402 - only with torch
from tests.conftest import COLOURS, jpeg  # noqa: E402
from tests.training.torch_loop import two_processes  # noqa: E402
from training.processes import Processes, followers, of_environment  # noqa: E402
from training.torch_loop.process_group import ProcessGroup  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[3]


def test_without_augmentation_two_processes_give_the_weights_of_one(tmp_path, monkeypatch):
    alone, history = two_processes.train(tmp_path / "alone")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in {**variables, "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "tests.training.torch_loop.two_processes", str(tmp_path)]
    environment = {**os.environ, "RANK": "1", "LOCAL_RANK": "1", "PYTHONPATH": str(REPOSITORY)}
    follower = subprocess.Popen(command, env=environment, cwd=REPOSITORY)
    try:
        together, joint_history = two_processes.train(tmp_path / "together")
        assert follower.wait(60) == 0
    finally:
        follower.kill()
        follower.wait()
    for one, other in zip(alone.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    for one, other in zip(history, joint_history, strict=True):
        assert vars(one) == pytest.approx(vars(other), rel=1e-4, nan_ok=True)


def test_the_parts_of_a_batch_and_of_val_cover_them_once():
    groups = [ProcessGroup(Processes(rank, 3, rank, 3)) for rank in range(3)]
    batch = torch.arange(11)
    parts = torch.cat([group.part(batch) for group in groups])
    assert sorted(parts.tolist()) == batch.tolist()
    ranges = [range(*group.range_of(11)) for group in groups]
    assert [index for each in ranges for index in each] == list(range(11))
    assert len({group.seed_of(7) for group in groups}) == 3
    assert groups[0].seed_of(7) == 7


def test_torchrun_tells_the_place_of_a_process():
    variables = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    processes = of_environment(variables)
    assert processes == Processes(5, 8, 1, 4)
    assert not processes.reads_photos
    assert of_environment({**variables, "LOCAL_RANK": "0"}).reads_photos
    assert of_environment({}) == Processes()


def test_followers_end_with_the_leader_and_leave_the_environment_as_it_was(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/sleep")  # sleep: invalid option: it ends at once
    before = dict(os.environ)
    with followers(3, ["train"]):
        assert of_environment() == Processes(0, 3, 0, 3)
    assert dict(os.environ) == before


@pytest.mark.slow
def test_hubel_train_starts_its_processes(tmp_path):
    for label, colour in COLOURS.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(14):
            shade = tuple(min(255, value + number) for value in colour)
            (tmp_path / "photos" / label / f"{number}.jpg").write_bytes(jpeg(shade, (48, 48)))
    command = [sys.executable, "-m", "hubel", "train", tmp_path / "photos"]
    command += ["--output", tmp_path / "colours", "--recipe", "scratch", "--size", 16]
    command += ["--epochs", 2, "--device", "cpu", "--processes", 2]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search("cpu in (float32|bfloat16), 2 processes", done.stdout)
    manifest = bundles.load(tmp_path / "colours").manifest
    assert manifest.training.arguments["trained_in"].endswith(", 2 processes")
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []
