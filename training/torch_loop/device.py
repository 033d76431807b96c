"""Where a network is trained, and in which precision.

A device is a promise: `cuda` that can't be had is an error, only `auto` may fall back.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from training.errors import DataUnusable

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Hardware:
    """A device, and whether it multiplies in bfloat16 faster than in float32."""

    device: torch.device
    bf16: bool

    def __str__(self) -> str:
        """For a line on the terminal."""
        return f"{self.device.type} in {'bfloat16' if self.bf16 else 'float32'}"

    def autocast(self) -> AbstractContextManager[Any]:
        """Around a forward pass."""
        context: AbstractContextManager[Any] = nullcontext()
        if self.bf16:
            context = torch.autocast(self.device.type, torch.bfloat16)
        return context


def choose(asked: Device) -> Hardware:
    """Settle what `asked` means on this machine.

    Raises:
        DataUnusable: `cuda` was asked for, and can't be had.
    """
    if asked != "cpu" and torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Hardware(torch.device("cuda"), bf16)
    if asked == "cuda":
        raise DataUnusable(
            "CUDA can't be used: this torch sees no GPU. Install a CUDA build of torch and check "
            "the driver, or choose --device cpu."
        )
    return Hardware(torch.device("cpu"), _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    """AVX-512 BF16 or AMX; elsewhere bfloat16 is emulated, and takes a hundred times as long."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
