"""The models that may serve, by name and version; and those that may not, with the reason.

folders -> `discover` -> `promote`, each: load and verify -> ready, or refused -> `resolve`.
A folder that is replaced while its model serves is loaded beside it, and swapped in when it has
passed; requests in flight finish on the model that they began with.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from app import bundle as bundles
from app.errors import BundleError, BundleMismatch, ModelNotReady, UnknownModel
from app.runtime.model import Model, load_model
from app.runtime.session import choose_device

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
    reason: str | None = None
    """Why the folder, as it is now, does not serve."""

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self.model is not None


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
        self._entries: dict[Path, Entry] = {}
        self._promoting = threading.Lock()

    @property
    def entries(self) -> list[Entry]:
        """What was found, by name, the newest version first."""
        return sorted(self._entries.values(), key=lambda e: (e.name, -(e.version or 0)))

    @property
    def default(self) -> str:
        """The default model's name: as set, else the only one in the first root, else imagenet.

        A refused model counts: another one's answers in its place would be wrong ones.
        """
        if self._default is not None:
            return self._default
        first = {e.name for e in self._entries.values() if e.folder.is_relative_to(self._roots[0])}
        return first.pop() if len(first) == 1 else "imagenet"

    def load_all(self) -> None:
        """Load what the roots hold; what is refused is kept with its reason."""
        for root in self._roots:
            for folder in discover(root):
                self.promote(folder)

    def resolve(self, name: str | None = None, version: int | None = None) -> Model:
        """The model that answers a request.

        Args:
            name: None for the default.
            version: None for the highest that is ready.

        Raises:
            UnknownModel: there is none of that name, or no such version.
            ModelNotReady: there is, and it may not serve.
        """
        name = name or self.default
        named = [entry for entry in self.entries if entry.name == name]
        if not named:
            known = ", ".join(sorted({entry.name for entry in self.entries})) or "none"
            raise UnknownModel(f"There is no model {name!r}. Known models: {known}.")
        asked = [entry for entry in named if version in (None, entry.version)]
        if not asked:
            known = ", ".join(str(entry.version) for entry in named)
            raise UnknownModel(f"Model {name!r} has no version {version}. It has: {known}.")
        for entry in asked:
            if entry.model is not None:
                return entry.model
        raise ModelNotReady(f"Model {name!r} does not serve: {asked[0].reason}")

    def reload(self, name: str) -> list[Entry]:
        """Look again for bundles of this name and promote each; what serves goes on meanwhile.

        Raises:
            UnknownModel: there is none of that name.
        """
        folders = [folder for root in self._roots for folder in discover(root)]
        known = {entry.folder for entry in self.entries if entry.name == name}
        promoted = [self.promote(f) for f in folders if f in known or _name(f) == name]
        with self._promoting:
            gone = known.difference(folders)
            self._entries = {f: entry for f, entry in self._entries.items() if f not in gone}
        if not promoted:
            raise UnknownModel(f"There is no bundle of a model {name!r} any more. Copy one in.")
        return promoted

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
            except BundleError as err:
                log.error("bundle %s is refused: %s", folder, err)
                entry = self._refused(folder, str(err))
            self._entries = {**self._entries, folder: entry}  # readers see one dict or the other
            return entry

    def _check_unique(self, model: Model, folder: Path) -> None:
        for other in self._entries.values():
            same = (other.name, other.version) == (model.name, model.version)
            if same and other.ready and other.folder != folder and other.folder.exists():
                raise BundleMismatch(
                    f"{other.folder} serves as version {model.version} of {model.name!r} already. "
                    "Give this one a higher version."
                )

    def _refused(self, folder: Path, reason: str) -> Entry:
        if before := self._entries.get(folder):
            return replace(before, reason=reason)
        try:
            manifest = bundles.load(folder).manifest
        except BundleError:
            return Entry(_name(folder), None, folder, None, reason)
        return Entry(manifest.name, manifest.version, folder, None, reason)


def model_roots(models: Path | None) -> list[Path]:
    """The folders to look in: the user's, if there is one, and the built-in."""
    return [models, BUILT_IN_MODELS] if models else [BUILT_IN_MODELS]


def open_registry(
    models: Path | None, device: Literal["auto", "cpu", "cuda"], default: str | None
) -> Registry:
    """A registry of everything in `models` and the built-in, loaded.

    Raises:
        DeviceUnavailable: the device that is asked for can't be had.
    """
    choice = choose_device(device)
    registry = Registry(model_roots(models), partial(load_model, device=choice.device), default)
    registry.load_all()
    return registry


def discover(root: Path) -> Iterator[Path]:
    """The folders <name>/ and <name>/<version>/ below `root` that hold a bundle.json, in order."""
    for folder in _folders(root):
        if (folder / bundles.MANIFEST).is_file():
            yield folder
        else:
            yield from (f for f in _folders(folder) if (f / bundles.MANIFEST).is_file())


def _folders(root: Path) -> list[Path]:
    return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))


def _name(folder: Path) -> str:
    """The name of the model in `folder`, from bundle.json, else from the folder."""
    try:
        return bundles.load(folder).manifest.name
    except BundleError:
        return folder.parent.name if folder.name.isdigit() else folder.name
