"""The device that a network is trained on, and its precision.

`cuda` fails if there is no GPU; `auto` falls back to the CPU.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from training.errors import DataUnusable

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Device:
    """A torch device, and whether it multiplies in bfloat16 faster than in float32."""

    torch_device: torch.device
    bf16: bool

    def __str__(self) -> str:
        """Return the device and its precision, such as "cuda in bfloat16"."""
        return f"{self.torch_device.type} in {'bfloat16' if self.bf16 else 'float32'}"

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context manager that runs a forward pass in the device's precision."""
        context: AbstractContextManager[Any] = nullcontext()
        if self.bf16:
            context = torch.autocast(self.torch_device.type, torch.bfloat16)
        return context


def select_device(name: DeviceName, number: int | None = None) -> Device:
    """Return the device that `name` stands for on this machine.

    Args:
        name: the device.
        number: which of several GPUs; None: the first.

    Raises:
        DataUnusable: `cuda` was requested and is unavailable, or there are too few GPUs.
    """
    if name != "cpu" and torch.cuda.is_available():
        if number is not None and number >= torch.cuda.device_count():
            raise DataUnusable(
                f"There are {torch.cuda.device_count()} GPUs, and each process needs one of its "
                "own. Start fewer processes, or choose --device cpu."
            )
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        gpu = torch.device("cuda") if number is None else torch.device("cuda", number)
        return Device(gpu, bf16)
    if name == "cuda":
        raise DataUnusable(
            "CUDA can't be used: this torch sees no GPU. Install a CUDA build of torch and check "
            "the driver, or choose --device cpu."
        )
    return Device(torch.device("cpu"), _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    """Return whether the CPU has AVX-512 BF16 or AMX; emulation takes a hundred times as long."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
