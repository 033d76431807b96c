"""The models that may serve, by name and version; and those that may not, with the reason.

    folders -> `discover` -> `promote`, each: load and verify beside what serves
                               -> passed: swapped in, in one step
                               -> refused: what served goes on, with the reason beside it
            -> `resolve`: a request holds on to its model until it is answered

The highest version that is ready serves, unless a reload has named one (a roll-back). A model that
was replaced or unloaded is freed when the last request that began on it is done.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from app import bundle as bundles
from app.errors import (
    BadParameter,
    BundleError,
    BundleMismatch,
    DeviceUnavailable,
    ModelError,
    ModelNotReady,
    UnknownModel,
)
from app.runtime import host
from app.runtime.loaded_model import Model, load_model
from app.runtime.session import DeviceChoice, choose_device

BUILT_IN_MODELS = Path(__file__).resolve().parents[2] / "model"
"""Where imagenet lies."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One folder that holds a bundle, or something that should be one."""

    name: str
    version: int | None
    """None where bundle.json can't be read."""
    folder: Path
    model: Model | None
    """None where it does not serve."""
    reason: str | None = None
    """Why the folder, as it is now, does not serve."""
    unloaded: bool = False
    """Somebody asked for it not to serve."""

    @property
    def ready(self) -> bool:
        """Whether requests can be answered by it."""
        return self.model is not None

    @property
    def state(self) -> Literal["ready", "unloaded", "refused"]:
        """In a word."""
        if self.ready:
            return "ready"
        return "unloaded" if self.unloaded else "refused"


@dataclass(frozen=True)
class _View:
    """What is known at one moment; replaced as a whole, so that readers need no lock."""

    entries: tuple[Entry, ...] = ()
    """By name, the newest version first."""
    pinned: Mapping[str, int] = field(default_factory=dict)
    """Versions that serve although a higher one is ready."""

    def with_entry(self, entry: Entry) -> "_View":
        others = [other for other in self.entries if other.folder != entry.folder]
        by_name = sorted([*others, entry], key=lambda e: (e.name, -(e.version or 0)))
        return replace(self, entries=tuple(by_name))

    def without(self, folders: Collection[Path]) -> "_View":
        return replace(self, entries=tuple(e for e in self.entries if e.folder not in folders))

    def pinning(self, name: str, version: int | None) -> "_View":
        others = {other: pin for other, pin in self.pinned.items() if other != name}
        return replace(self, pinned=others if version is None else {**others, name: version})

    def named(self, name: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.name == name]


class Registry:
    """All models below some folders.

    Args:
        roots: folders to look in; of two bundles of one name and version the first serves.
        load: turns a bundle's folder into a verified model.
        default: the model for requests that name none.
    """

    def __init__(
        self, roots: Sequence[Path], load: Callable[[Path], Model], default: str | None = None
    ) -> None:
        self._roots = roots
        self._load = load
        self._default = default
        self._view = _View()
        self._promoting = threading.Lock()
        self._loading = threading.Lock()
        self._is_loaded = False
        self.promotions: Counter[tuple[str, str]] = Counter()
        """By name and outcome, `promoted` or `refused`."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What was found, by name, the newest version first."""
        return self._view.entries

    @property
    def default(self) -> str:
        """The default model's name: as set, else the only one in the first root, else imagenet.

        A refused model counts: another one's answers in its place would be wrong ones.
        """
        if self._default is not None:
            return self._default
        first = {e.name for e in self.entries if _is_below(e.folder, self._roots[0])}
        return first.pop() if len(first) == 1 else "imagenet"

    def load_all(self) -> None:
        """Load what the roots hold; what is refused is kept with its reason.

        Once: whoever comes while another thread loads waits for that.

        Raises:
            DeviceUnavailable: ONNX Runtime can't have the device after all.
        """
        with self._loading:
            if self._is_loaded:
                return
            for root in self._roots:
                for folder in discover(root):
                    self.promote(folder)
            self._is_loaded = True

    def resolve(self, name: str | None = None, version: int | None = None) -> Model:
        """The model that answers a request; see `find`."""
        _, model = self.find(name, version)
        return model

    def find(self, name: str | None = None, version: int | None = None) -> tuple[Entry, Model]:
        """The entry that answers a request, and its model.

        Args:
            name: None for the default.
            version: None for the one that serves: the highest that is ready, or a pinned one.

        Raises:
            UnknownModel: there is none of that name, or no such version.
            ModelNotReady: there is, and it does not serve.
        """
        view = self._view
        name = name or self.default
        named = view.named(name)
        if not named:
            known = ", ".join(sorted({entry.name for entry in view.entries})) or "none"
            raise UnknownModel(f"There is no model {name!r}. Known models: {known}.")
        asked = [entry for entry in named if version in (None, entry.version)]
        if not asked:
            known = ", ".join(str(entry.version) for entry in named)
            raise UnknownModel(f"Model {name!r} has no version {version}. It has: {known}.")
        if version is None and (pinned := view.pinned.get(name)):
            asked.sort(key=lambda entry: entry.version != pinned)
        for entry in asked:
            if entry.model is not None:
                return entry, entry.model
        raise ModelNotReady(f"Model {name!r} does not serve: {asked[0].reason}")

    def serves(self, entry: Entry) -> bool:
        """Whether requests that name the model, but no version, are answered by `entry`."""
        try:
            return self.resolve(entry.name) is entry.model
        except ModelError:
            return False

    def reload(self, name: str, version: int | None = None) -> list[Entry]:
        """Look again for bundles of this name and promote each; what serves goes on meanwhile.

        Args:
            name: the model's.
            version: promote this one alone, and let it serve from now on although a higher one is
                ready: the way back. None lets the highest serve.

        Raises:
            UnknownModel: there is none of that name, or no such version.
        """
        found = [folder for root in self._roots for folder in discover(root)]
        known = {entry.folder for entry in self._view.named(name)}
        folders = [f for f in found if f in known or _identity(f)[0] == name]
        gone = {folder for folder in known.difference(found) if _is_gone(folder)}
        if not folders:
            self._drop(gone)
        if version is not None:
            folders = [folder for folder in folders if _identity(folder)[1] == version]
        if not folders:
            wanted = f"a model {name!r}" if version is None else f"version {version} of {name!r}"
            raise UnknownModel(f"There is no bundle of {wanted}. Copy one in.")
        promoted = [self.promote(folder) for folder in folders]
        if any(entry.ready for entry in promoted):  # until then what is gone serves on
            self._drop(gone)
        if version is None or not promoted[0].reason:
            with self._promoting:
                self._view = self._view.pinning(name, version)
        return promoted

    def _drop(self, folders: Collection[Path]) -> None:
        with self._promoting:
            self._view = self._view.without(folders)

    def reload_or_refuse(self, name: str, version: int | None = None) -> None:
        """Reload, and fail where something new was refused; what served goes on.

        Raises:
            UnknownModel: there is none of that name, or no such version.
            BundleMismatch: a bundle is refused that would serve, had it passed.
        """
        entries = self.reload(name, version)
        serving = max((entry.version or 0 for entry in entries if entry.ready), default=0)
        for entry in entries:
            # that an older version is refused is no news
            is_news = entry.ready or entry.version is None or entry.version > serving
            if entry.reason and is_news:
                raise BundleMismatch(f"{entry.folder.name} is refused: {entry.reason}")

    def unload(self, name: str) -> None:
        """Stop serving all versions of a model, and let go of their memory.

        Raises:
            UnknownModel: there is none of that name.
        """
        with self._promoting:
            entries = self._view.named(name)
            if not entries:
                raise UnknownModel(f"There is no model {name!r} to unload.")
            for entry in entries:
                reason = "It was unloaded. Load it again."
                gone = replace(entry, model=None, reason=reason, unloaded=True)
                self._view = self._view.with_entry(gone)
        del entries, entry, gone  # they hold the models
        host.release_memory()
        log.info("model %s is unloaded", name)

    def promote(self, folder: Path) -> Entry:
        """Load the bundle in `folder`; it serves from the moment it has passed, or not at all.

        The only place where a model begins to serve. A refused one leaves the one that stood
        there before as it was, with the reason beside it.
        """
        with self._promoting:
            try:
                model = self._load(folder)
                self._check_unique(model, folder)
                entry = Entry(model.name, model.version, folder, model)
                for note in model.notes:
                    log.warning("model %s version %d: %s", model.name, model.version, note)
                log.info("model %s version %d serves", model.name, model.version)
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
            self._view = self._view.with_entry(entry)
        host.release_memory()
        return entry

    def _check_unique(self, model: Model, folder: Path) -> None:
        for other in self._view.named(model.name):
            same = other.version == model.version and other.model is not None
            if same and other.folder != folder and other.folder.exists():
                raise BundleMismatch(
                    f"{other.folder} serves as version {model.version} of {model.name!r} already. "
                    "Give this one a higher version."
                )

    def _refused(self, folder: Path, reason: str) -> Entry:
        for before in self._view.entries:
            if before.folder == folder:
                return replace(before, reason=reason)
        return Entry(*_identity(folder), folder, None, reason)


def model_roots(models: Path | None) -> list[Path]:
    """The folders to look in: the user's, if there is one, and the built-in."""
    return [models, BUILT_IN_MODELS] if models else [BUILT_IN_MODELS]


@dataclass(frozen=True)
class Models:
    """The models of a process, and where they run."""

    registry: Registry
    device: DeviceChoice


def find_models(
    folder: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    default: str | None,
    cores: int = 1,
) -> Models:
    """The models in `folder` and the built-in; none is loaded yet.

    Args:
        folder: the user's models.
        device: where they must run.
        default: the model for requests that name none.
        cores: how many a run that is alone may use.

    Raises:
        DeviceUnavailable: the device that is asked for can't be had.
        BadParameter: the folder can't be read.
    """
    choice = choose_device(device)
    if choice.note:
        log.info(choice.note)
    load = partial(load_model, device=choice.device, cores=cores)
    return Models(Registry(_readable(model_roots(folder)), load, default), choice)


def _readable(roots: Sequence[Path]) -> Sequence[Path]:
    for root in roots:
        try:
            os.scandir(root).close()
        except OSError as err:
            raise BadParameter(
                f"The models in {root} can't be read ({err.strerror}). Let this user read that "
                "folder, or name another --models."
            ) from err
    return roots


def discover(root: Path) -> Iterator[Path]:
    """The folders <name>/ and <name>/<version>/ below `root` that hold a bundle.json, in order.

    A folder that can't be looked into, such as a volume's lost+found, is passed over.
    """
    for folder in _folders(root):
        try:
            if (folder / bundles.MANIFEST).is_file():
                yield folder
            else:
                yield from [f for f in _folders(folder) if (f / bundles.MANIFEST).is_file()]
        except OSError as err:
            log.warning("%s is passed over: %s", folder, err.strerror)


def _is_gone(folder: Path) -> bool:
    """Whether no bundle lies there; what can't be looked at just now may well."""
    try:
        (folder / bundles.MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    except OSError as err:
        log.warning("%s is passed over: %s", root, err.strerror)
        return []


@lru_cache
def _is_below(folder: Path, root: Path) -> bool:
    return folder.is_relative_to(root)  # dear enough to be seen in every request


def _identity(folder: Path) -> tuple[str, int | None]:
    """Name and version of the bundle in `folder`: from bundle.json, else from the folder."""
    try:
        manifest = bundles.load(folder).manifest
    except BundleError:
        return (folder.parent.name if folder.name.isdigit() else folder.name), None
    return manifest.name, manifest.version
