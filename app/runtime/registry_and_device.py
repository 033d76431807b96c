"""The registry of a process with the device that its models run on.

settings -> `choose_device`, `model_roots` -> an empty registry; `load_all` fills it
         -> an address on S3 -> app.model_store, its local copies -> likewise
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from app.model_store import ModelStore
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
    store: ModelStore | None
    """The model store, if the models are on S3."""


def create_registry(
    models: Path | str | None,
    device: Literal["auto", "cpu", "cuda"],
    default: str | None,
    cores: int = 1,
    *,
    cache: Path,
    data_dir: Path | None = None,
) -> RegistryAndDevice:
    """Select the device, and create the registry of the user's models and the built-in ones.

    It is empty until `load_all`, which searches the folders.

    Args:
        models: the folder of the user's models, or their address on S3.
        device: the requested device.
        default: the model for requests that name none.
        cores: the cores that a run of the only photo in the engine may use.
        cache: the folder for the copies of models on S3.
        data_dir: where choices are kept if the folder of models is read-only.

    Raises:
        DeviceUnavailable: the requested device can't be used.
        BadParameter: the folder can't be read.
        ModelStoreUnavailable: the store can't be read, and there are no copies.
        PinFileInvalid: its pin file can't be used.
    """
    choice = choose_device(device)
    if isinstance(models, str):
        store = ModelStore(models, cache.expanduser())
        store.prepare()
        folder: Path | None = store.folder
    else:
        store, folder = None, models
    load = partial(load_model, device=choice.device, cores=cores)
    registry = Registry(model_roots(folder), load, default, PinFile(folder, data_dir))
    return RegistryAndDevice(registry, choice, store)
