"""The selection of the device to train on."""

import pytest

torch = pytest.importorskip("torch")

from training.errors import DataUnusable  # noqa: E402 - only with torch
from training.torch_loop import device  # noqa: E402


def test_unavailable_cuda_is_an_error_and_auto_falls_back_to_the_cpu():
    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    with pytest.raises(DataUnusable, match=r"CUDA can't be used: this torch sees no GPU"):
        device.select_device("cuda")
    assert device.select_device("auto").torch_device.type == "cpu"
