"""Files that an old `torch.save` wrote, read without torch."""

import os
import pickle

import pytest

from training.networks.torch_file import read_tensors

HEAD = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]


def _write(path, *objects):
    path.write_bytes(b"".join(pickle.dumps(each, 2) for each in objects))
    return path


def test_tensors_are_those_that_torch_saved(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    tensors = {
        "whole": base,
        "transposed": base.permute(2, 0, 1),
        "a part": base[1, :, ::2],
        "number": torch.tensor(7),
    }
    file = tmp_path / "old.pth"
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    actual = read_tensors(file)
    assert actual.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert actual[name].dtype == tensor.numpy().dtype
        assert (actual[name] == tensor.numpy()).all()


def test_a_file_cannot_run_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(pickle.UnpicklingError, match="mkdir, which is no tensor"):
        read_tensors(_write(tmp_path / "harmful.pth", *HEAD, {"a": Harmful()}))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ((1, 2), "not written by torch.save"),
        ((*HEAD, ["a"]), "no tensors by name"),
    ],
    ids=["another pickle", "no mapping"],
)
def test_another_file_is_refused(tmp_path, objects, message):
    with pytest.raises(pickle.UnpicklingError, match=message):
        read_tensors(_write(tmp_path / "other.pth", *objects))
