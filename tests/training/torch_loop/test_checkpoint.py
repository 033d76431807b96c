"""The checkpoint of a training run: its errors, and its atomic replacement."""

import pytest

torch = pytest.importorskip("torch")

from training.errors import DataUnusable  # noqa: E402 - only with torch
from training.torch_loop.checkpoint import Checkpoint  # noqa: E402


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ({"--seed": 1}, r"was made with --seed 0, not 1\. Pass the same again, or leave --resume"),
        ({"--seed": 0, "torch": "3"}, r"was made with torch None, not 3\."),
    ],
)
def test_a_checkpoint_of_another_run_is_rejected(tmp_path, identity, words):
    Checkpoint(tmp_path, {"--seed": 0}).save({"epoch": 1})
    with pytest.raises(DataUnusable, match=words):
        Checkpoint(tmp_path, identity).load()


def test_a_missing_and_a_broken_checkpoint_are_errors(tmp_path):
    with pytest.raises(DataUnusable, match=r"no checkpoint at .* Leave --resume out\."):
        Checkpoint(tmp_path, {}).load()
    (tmp_path / "state.pt").write_bytes(b"half")
    with pytest.raises(DataUnusable, match=r"can't be read\. Leave --resume out to start again"):
        Checkpoint(tmp_path, {}).load()


def test_a_full_disk_is_an_error_that_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path, {"--seed": 0})
    checkpoint.save({"epoch": 1})

    def full(_, file):
        file.write_bytes(b"half")
        raise RuntimeError("file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DataUnusable, match=r"can't be written .* Is the disk full"):
        checkpoint.save({"epoch": 2})
    assert checkpoint.load() == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_a_checkpoint_is_replaced_by_the_next_one(tmp_path):
    checkpoint = Checkpoint(tmp_path / "new", {"--seed": 0})
    checkpoint.save({"epoch": 1})
    checkpoint.save({"epoch": 2, "weights": {"a": torch.ones(2)}})
    assert checkpoint.load()["epoch"] == 2
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["state.pt"]
