"""The registry of a process with the device that its models run on.

settings -> `choose_device`, `model_roots` -> an empty registry; `load_all` fills it
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from app.runtime.discovery import model_roots
from app.runtime.loaded_model import load_model
from app.runtime.pins import PinFile
from app.runtime.registry import Registry
from app.runtime.session import DeviceChoice, choose_device


@dataclass(frozen=True)
class RegistryAndDevice:
    """The registry of a process, and the device that its models run on."""

    registry: Registry
    device: DeviceChoice


def create_registry(
    folder: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    default: str | None,
    cores: int = 1,
) -> RegistryAndDevice:
    """Select the device, and create the registry of the models in `folder` and the built-in ones.

    It is empty until `load_all`, which searches the folders.

    Args:
        folder: the user's models.
        device: the requested device.
        default: the model for requests that name none.
        cores: the cores that a run of the only photo in the engine may use.

    Raises:
        DeviceUnavailable: the requested device can't be used.
        BadParameter: the folder can't be read.
        PinFileInvalid: its pin file can't be used.
    """
    choice = choose_device(device)
    load = partial(load_model, device=choice.device, cores=cores)
    registry = Registry(model_roots(folder), load, default, PinFile(folder))
    return RegistryAndDevice(registry, choice)
