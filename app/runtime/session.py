"""One graph on one device: arrays -> probabilities, through ONNX Runtime.

A device is a promise: ONNX Runtime falls back to the CPU silently (onnxruntime #23372), so the
providers are looked at after loading.

On a CPU with several cores there are two ways through one graph: narrow, a thread a run, so that
runs stand side by side; and wide, all cores for the one run that is alone.
"""

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.bundle import Precision
from app.errors import BundleInvalid, DeviceUnavailable
from app.runtime import ort
from app.runtime.ort import CPU

log = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]
_CUDA = "CUDAExecutionProvider"
_NOTHING = 4
# y = Relu(x) for one float: the smallest graph, to see whether a device can be had at all
_PROBE = (
    b'\x08\x07:7\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x05probe'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)

# y = a w, uint8 [1, 4] times four int8 weights of 127 (MatMulInteger)
_PRODUCTS = (
    b'\x08\x07:[\n\x18\n\x01a\n\x01w\x12\x01y"\rMatMulInteger\x12\x04int8*\x0f\x08\x04\x08\x01'
    b"\x10\x03B\x01wJ\x04\x7f\x7f\x7f\x7fZ\x13\n\x01a\x12\x0e\n\x0c\x08\x02\x12\x08\n\x02\x08"
    b"\x01\n\x02\x08\x04b\x13\n\x01y\x12\x0e\n\x0c\x08\x06\x12\x08\n\x02\x08\x01\n\x02\x08\x01"
    b"B\x04\n\x00\x10\r"
)


@dataclass(frozen=True)
class DeviceChoice:
    """The device that is used, and why it isn't the one that was asked for."""

    device: Device
    note: str | None = None


def choose_device(asked: Literal["auto", "cpu", "cuda"]) -> DeviceChoice:
    """Settle what `asked` means on this machine, by trying it.

    Raises:
        DeviceUnavailable: `cuda` was asked for, and can't be had.
    """
    if asked == "cpu":
        return DeviceChoice("cpu")
    reason = _why_no_cuda()
    if reason is None:
        return DeviceChoice("cuda")
    if asked == "cuda":
        raise DeviceUnavailable(f"CUDA can't be used: {reason}, or choose --device cpu.")
    return DeviceChoice("cpu", f"auto fell back to the CPU: {reason}.")


def _why_no_cuda() -> str | None:
    if _CUDA not in onnxruntime.get_available_providers():
        return "the installed ONNX Runtime has no CUDA provider; install the `gpu` extra"
    _load_cuda()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _NOTHING
    try:
        providers = onnxruntime.InferenceSession(_PROBE, options, providers=[_CUDA]).get_providers()
    except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
        return f"{_first_line(err)}; check the driver"
    if providers[0] == _CUDA:
        return None
    return (
        "ONNX Runtime's CUDA provider does not load on this machine; "
        "check its GPU, driver, CUDA and cuDNN libraries"
    )


def _load_cuda() -> None:
    """Load CUDA and cuDNN from the packages of the `gpu` extra; what is missing shows later."""
    told = io.StringIO()
    with redirect_stdout(told):  # it prints what it can't load
        onnxruntime.preload_dlls(directory="")
    for line in told.getvalue().splitlines():
        log.debug(line)


def saturates_int8() -> bool:
    """Whether this processor cuts sums of uint8 x int8 products short, as x86 without VNNI does.

    `Session` computes them exactly there too; fast only where weights have seven bits, which can't
    saturate.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _NOTHING
    session = onnxruntime.InferenceSession(_PRODUCTS, options, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"a": np.full((1, 4), 255, np.uint8)})
    return int(product[0, 0]) != 4 * 255 * 127


class Session:
    """One loaded graph; `run` may be called by several threads at once.

    Args:
        path: the ONNX file.
        device: where it must run.
        precision: what the file holds; told on, not looked at.
        cores: how many a run that is alone may use, on a CPU.

    Raises:
        BundleInvalid: ONNX Runtime can't load the file.
        DeviceUnavailable: it can't have the device.
    """

    def __init__(self, path: Path, device: Device, precision: Precision, cores: int = 1) -> None:
        provider = _CUDA if device == "cuda" else CPU
        try:
            if device == "cpu" and cores > 1:
                self._session, self._wide = ort.single_and_multi_threaded(path, cores)
            else:
                self._session = self._wide = ort.single_threaded(path, provider)
        except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
            raise BundleInvalid(
                f"{path} can't be loaded by ONNX Runtime ({_first_line(err)}). Export it again."
            ) from err
        if self._session.get_providers()[0] != provider:
            raise DeviceUnavailable(
                f"CUDA can't be used: ONNX Runtime loaded {path.name} on the CPU instead. "
                "Check the driver, CUDA and cuDNN libraries, or choose --device cpu."
            )
        self.device = device
        self.precision = precision

    @property
    def inputs(self) -> dict[str, tuple[str, list[int | str | None]]]:
        """By name, ONNX Runtime's type and the shape; a free dimension is no integer."""
        return {node.name: (node.type, node.shape) for node in self._session.get_inputs()}

    @property
    def outputs(self) -> dict[str, tuple[str, list[int | str | None]]]:
        """By name, ONNX Runtime's type and the shape; a free dimension is no integer."""
        return {node.name: (node.type, node.shape) for node in self._session.get_outputs()}

    def run(self, images: NDArray[np.uint8], *, alone: bool = False) -> NDArray[np.float32]:
        """Probabilities (N, K) float32, rows summing to 1, of images (N, S, S, 3) uint8 RGB.

        A run that is `alone` may use all cores.
        """
        (probabilities,) = self.outputs_of(["probabilities"], images, alone=alone)
        return probabilities

    def outputs_of(
        self, names: Sequence[str], images: NDArray[np.uint8], *, alone: bool = False
    ) -> list[NDArray[np.float32]]:
        """The outputs `names` of one run, each (N, ...) float32, in that order."""
        session = self._wide if alone else self._session
        given: list[NDArray[np.float32]] = session.run(names, {"image": images})
        return given


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0]
