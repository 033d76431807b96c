"""One graph on one device: arrays -> probabilities, through ONNX Runtime.

    images -> run -> NaN or infinity in an output: ModelOutputInvalid
                  -> outputs

ONNX Runtime falls back to the CPU silently (onnxruntime #23372), so the providers are checked
after loading, and a missing device is an error.

On a CPU with several cores a graph has two sessions. The single-threaded one takes a thread per
run, so that runs are concurrent. The multi-threaded one takes all cores for the run of the only
photo in the engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.bundle import Precision
from app.errors import BundleInvalid, DeviceUnavailable, ModelOutputInvalid, first_line_of
from app.runtime import ort

Device = Literal["cpu", "cuda"]


_FELL_BACK = "auto fell back to the CPU: "


@dataclass(frozen=True)
class DeviceChoice:
    """The device in use, and the reason if it isn't the requested one."""

    device: Device
    note: str | None = None

    @property
    def summary(self) -> str:
        """The device and the reason, without the advice of `note`: a line of the log."""
        name = "the CPU" if self.device == "cpu" else "the GPU"
        if self.note is None:
            return f"Models run on {name}"
        reason = self.note.removeprefix(_FELL_BACK).partition(";")[0].removesuffix(".")
        return f"Models run on {name}: {reason}"


def choose_device(requested: Literal["auto", "cpu", "cuda"]) -> DeviceChoice:
    """Return the device that `requested` means on this machine; CUDA is tried, not assumed.

    Raises:
        DeviceUnavailable: `cuda` was requested and can't be used.
    """
    if requested == "cpu":
        return DeviceChoice("cpu")
    reason = ort.why_cuda_is_unavailable()
    if reason is None:
        return DeviceChoice("cuda")
    if requested == "cuda":
        raise DeviceUnavailable(f"CUDA can't be used: {reason}, or choose --device cpu.")
    return DeviceChoice("cpu", f"{_FELL_BACK}{reason}.")


class Session:
    """One loaded graph; several threads may call `run` at once.

    Args:
        path: the ONNX file.
        device: the device that must run it.
        precision: the precision of the file; it is stored, not checked.
        cores: on a CPU, the cores of the multi-threaded session; 1 opens none.
        model: the model's name and version, for errors. Unset: errors name the file.

    Raises:
        BundleInvalid: ONNX Runtime can't load the file.
        DeviceUnavailable: ONNX Runtime can't use the device.
    """

    def __init__(
        self,
        path: Path,
        device: Device,
        precision: Precision,
        cores: int = 1,
        model: str | None = None,
    ) -> None:
        provider = ort.CUDA if device == "cuda" else ort.CPU
        try:
            if device == "cpu" and cores > 1:
                self._single, self._multi = ort.single_and_multi_threaded(path, cores)
            else:
                self._single = self._multi = ort.single_threaded(path, provider)
        except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
            raise BundleInvalid(
                f"{path} can't be loaded by ONNX Runtime ({first_line_of(err)}). Export it again."
            ) from err
        if self._single.get_providers()[0] != provider:
            raise DeviceUnavailable(
                f"CUDA can't be used: ONNX Runtime loaded {path.name} on the CPU instead. "
                "Check the driver, CUDA and cuDNN libraries, or choose --device cpu."
            )
        self.device = device
        self.precision = precision
        self._model = model or f"The {precision} graph {path.name}"

    @property
    def inputs(self) -> dict[str, tuple[str, list[int | str | None]]]:
        """The graph's inputs: type and shape by name. A variable dimension is a string or None."""
        return {node.name: (node.type, node.shape) for node in self._single.get_inputs()}

    @property
    def outputs(self) -> dict[str, tuple[str, list[int | str | None]]]:
        """The graph's outputs, like `inputs`."""
        return {node.name: (node.type, node.shape) for node in self._single.get_outputs()}

    def run(self, images: NDArray[np.uint8], *, all_cores: bool = False) -> NDArray[np.float32]:
        """Return probabilities (N, K) float32 of images (N, H, W, 3) uint8 RGB.

        `all_cores` runs it on the multi-threaded session.

        Raises:
            ModelOutputInvalid: a probability is NaN or infinite.
        """
        (probabilities,) = self.outputs_of(["probabilities"], images, all_cores=all_cores)
        return probabilities

    def outputs_of(
        self, names: Sequence[str], images: NDArray[np.uint8], *, all_cores: bool = False
    ) -> list[NDArray[np.float32]]:
        """Return the outputs `names` of one run, each (N, ...) float32, in that order.

        Raises:
            ModelOutputInvalid: an output holds NaN or infinity.
        """
        outputs = self.unchecked_outputs_of(names, images, all_cores=all_cores)
        self.require_finite(names, outputs)
        return outputs

    def require_finite(self, names: Sequence[str], outputs: Sequence[NDArray[np.floating]]) -> None:
        """Reject outputs that hold NaN or infinity; `names` and `outputs` belong together.

        Raises:
            ModelOutputInvalid: one of them does; the message has the model's name.
        """
        for name, output in zip(names, outputs, strict=True):
            if not np.isfinite(output).all():
                raise ModelOutputInvalid(
                    f"{self._model} returned NaN or infinity as {name!r} for this image. Use "
                    "another model, and report the image to the author of this one.",
                    precision=self.precision,
                )

    def unchecked_outputs_of(
        self, names: Sequence[str], images: NDArray[np.uint8], *, all_cores: bool = False
    ) -> list[NDArray[np.float32]]:
        """Return what `outputs_of` returns, also if it holds NaN or infinity.

        It is for runs whose images are no photos, and for batches: there, only the photo at fault
        must fail.
        """
        session = self._multi if all_cores else self._single
        outputs: list[NDArray[np.float32]] = session.run(names, {"image": images})
        return outputs
