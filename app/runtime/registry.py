"""The registry of models: it loads, replaces and unloads them, and selects one for each request.

    folders -> `discover` -> `promote` each: load and verify, while the old model stays in use
                               -> passed: replaces the old model in one step
                               -> refused: the old model stays in use; the reason is kept
            -> `resolve`: a request keeps its model until it is done

An entry is ready if its model is loaded and verified: requests can name it. One version of each
model is selected, and gets the requests that name no version: the highest that is ready, unless a
reload has pinned another one (a roll-back). A model that was replaced or unloaded is freed when the
last request that uses it is done.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from app.errors import BundleError, BundleMismatch, DeviceUnavailable, ModelError, UnknownModel
from app.runtime import host
from app.runtime.catalogue import Catalogue, Entry
from app.runtime.discovery import discover, identity, is_gone, model_roots
from app.runtime.loaded_model import Model, load_model
from app.runtime.session import DeviceChoice, choose_device

log = logging.getLogger(__name__)


class Registry:
    """All models below some folders.

    Args:
        roots: folders to search; of two bundles with one name and version the first is used.
        load: turns a bundle's folder into a verified model.
        default: the model for requests that name none.
    """

    def __init__(
        self, roots: Sequence[Path], load: Callable[[Path], Model], default: str | None = None
    ) -> None:
        self._roots = roots
        self._load = load
        self._default = default
        self._catalogue = Catalogue()
        self._promoting = threading.Lock()
        self._loading = threading.Lock()
        self._is_loaded = False
        self.promotions: Counter[tuple[str, str]] = Counter()
        """The number of promotions by name and result, `promoted` or `refused`."""
        self.while_loading: Callable[[Path], AbstractContextManager[None]] = _unaccounted
        """Entered with a bundle's folder while it is loaded."""
        self.on_change: Callable[[], None] = _do_nothing
        """Called after models were loaded, replaced or unloaded."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The known bundles, sorted by name, then the newest version first."""
        return self._catalogue.entries

    @property
    def default(self) -> str:
        """The default model's name: the setting, else the only one in the first root, or imagenet.

        A refused model counts too, so that requests don't get predictions of another model instead.
        """
        if self._default is not None:
            return self._default
        names = {e.name for e in self.entries if _is_below(e.folder, self._roots[0])}
        return names.pop() if len(names) == 1 else "imagenet"

    def load_all(self) -> None:
        """Load all bundles in the roots; a refused one is kept with its reason.

        This happens once. A caller that arrives while another thread loads waits for it.

        Raises:
            DeviceUnavailable: ONNX Runtime can't use the device that `choose_device` returned.
        """
        with self._loading:
            if self._is_loaded:
                return
            for folder in discover(self._roots):
                self.promote(folder)
            self._is_loaded = True

    def resolve(self, name: str | None = None, version: int | None = None) -> Model:
        """Return the model for a request; see `find`."""
        _, model = self.find(name, version)
        return model

    def find(self, name: str | None = None, version: int | None = None) -> tuple[Entry, Model]:
        """Return the entry for a request, and its model.

        Args:
            name: None for the default.
            version: None for the selected one: the pinned one, else the highest that is ready.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
            ModelNotReady: it exists and isn't ready.
        """
        return self._catalogue.find(name or self.default, version)

    def is_selected(self, entry: Entry) -> bool:
        """Return whether requests that name the model of `entry`, and no version, get `entry`."""
        try:
            return self.resolve(entry.name) is entry.model
        except ModelError:
            return False

    def reload(self, name: str, version: int | None = None) -> list[Entry]:
        """Search again for bundles of this name and promote each; the old model stays meanwhile.

        Args:
            name: the model's name.
            version: the only version to promote; it is then selected even if a higher one is ready
                (a roll-back). None promotes all and selects the highest.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
        """
        existing = list(discover(self._roots))
        known = {entry.folder for entry in self._catalogue.named(name)}
        folders = [f for f in existing if f in known or identity(f)[0] == name]
        gone = {folder for folder in known.difference(existing) if is_gone(folder)}
        if not folders:
            self._drop(gone)
        if version is not None:
            folders = [folder for folder in folders if identity(folder)[1] == version]
        if not folders:
            missing = f"model {name!r}" if version is None else f"version {version} of {name!r}"
            raise UnknownModel(
                f"There is no bundle of {missing}. Copy it into the models folder, and reload."
            )
        promoted = [self.promote(folder) for folder in folders]
        if any(entry.ready for entry in promoted):  # until then a removed version stays in use
            self._drop(gone)
        if version is None or not promoted[0].reason:
            with self._promoting:
                self._catalogue = self._catalogue.with_pin(name, version)
        return promoted

    def _drop(self, folders: Collection[Path]) -> None:
        with self._promoting:
            self._catalogue = self._catalogue.without(folders)
        self.on_change()

    def reload_or_raise(self, name: str, version: int | None = None) -> None:
        """Reload, and raise if a new bundle is refused; the old model then stays in use.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
            BundleMismatch: a bundle was refused that would otherwise be selected now.
        """
        entries = self.reload(name, version)
        selected = max((entry.version or 0 for entry in entries if entry.ready), default=0)
        for entry in entries:
            # An older version that is refused changes nothing.
            would_be_selected = entry.ready or entry.version is None or entry.version > selected
            if entry.reason and would_be_selected:
                raise BundleMismatch(f"{entry.folder.name} is refused: {entry.reason}")

    def unload(self, name: str) -> None:
        """Stop serving all versions of a model, and free their memory.

        Raises:
            UnknownModel: there is no such model.
        """
        with self._promoting:
            entries = self._catalogue.named(name)
            if not entries:
                raise UnknownModel(f"There is no model {name!r} to unload.")
            for entry in entries:
                reason = "It was unloaded. Load it again."
                unloaded = replace(entry, model=None, reason=reason, unloaded=True)
                self._catalogue = self._catalogue.with_entry(unloaded)
        del entries, entry, unloaded  # they refer to the models
        self.on_change()
        host.release_memory()
        log.info("model %s is unloaded", name)

    def promote(self, folder: Path) -> Entry:
        """Load the bundle in `folder`; it is ready as soon as it has passed its checks.

        Models become ready here and nowhere else. If the bundle is refused, a model that was loaded
        from the folder before stays in use, and its entry gets the reason.
        """
        with self._promoting:
            try:
                with self.while_loading(folder):
                    model = self._load(folder)
                self._check_unique(model, folder)
                entry = Entry(model.name, model.version, folder, model)
                for note in model.notes:
                    log.warning("model %s version %d: %s", model.name, model.version, note)
                log.info("model %s version %d is ready", model.name, model.version)
            except BundleError as err:
                log.error("bundle %s is refused: %s", folder, err)
                entry = self._refused(folder, str(err))
            except DeviceUnavailable:
                raise
            except Exception as err:  # one broken folder must not stop the others
                log.exception("bundle %s can't be loaded", folder)
                kind = type(err).__name__
                entry = self._refused(folder, f"It can't be loaded ({kind}: {err}). Copy it again.")
            self.promotions[entry.name, "refused" if entry.reason else "promoted"] += 1
            self._catalogue = self._catalogue.with_entry(entry)
        self.on_change()
        host.release_memory()
        return entry

    def _check_unique(self, model: Model, folder: Path) -> None:
        for other in self._catalogue.named(model.name):
            is_same = other.version == model.version and other.model is not None
            if is_same and other.folder != folder and other.folder.exists():
                raise BundleMismatch(
                    f"{other.folder} is already loaded as version {model.version} of "
                    f"{model.name!r}. Give this one a higher version."
                )

    def _refused(self, folder: Path, reason: str) -> Entry:
        for before in self.entries:
            if before.folder == folder:
                return replace(before, reason=reason)
        return Entry(*identity(folder), folder, None, reason)


def _do_nothing() -> None:
    pass


def _unaccounted(_folder: Path) -> AbstractContextManager[None]:
    return nullcontext()


@lru_cache
def _is_below(folder: Path, root: Path) -> bool:
    return folder.is_relative_to(root)  # cached: it is slow and every request needs it


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
    """
    choice = choose_device(device)
    if choice.note:
        log.info(choice.note)
    load = partial(load_model, device=choice.device, cores=cores)
    return RegistryAndDevice(Registry(model_roots(folder), load, default), choice)
