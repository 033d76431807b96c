"""From a finished bundle to a version that serves, or is held back.

    before training: `check_writable`, `next_version`, `serving_folder`
    after it:  the version is held back, in the pin file
            -> its files beside the place in the models folder, then renamed
            -> loaded and verified by the registry
            -> promoted: no longer held back; or offered, or held, and loaded for those who name it

A watcher, or a start after a kill at any moment, finds the version held back until the last step.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app import bundle as bundles
from app.bundle import MANIFEST
from app.durable_files import sync
from app.errors import BundleMismatch, ModelError, ModelsReadOnly
from app.jobs.comparison import PASSES, Comparison
from app.jobs.job import Outcome, Promote
from app.runtime.catalogue import Catalogue
from app.runtime.pins import Pins
from app.runtime.registry import Registry

log = logging.getLogger("hubel")

_BESIDE = ".installing"
_SHOWN = 5
"""Labels that a reason names."""


@dataclass(frozen=True)
class Decision:
    """The outcome for a new version, and its reason."""

    outcome: Outcome
    reason: str


def decide(comparison: Comparison | None, promote: Promote, *, is_first: bool = True) -> Decision:
    """Return what becomes of a version.

    Args:
        comparison: with the version that serves; None: they weren't compared.
        promote: what the request says.
        is_first: whether the model has no other version.
    """
    if comparison is None and not is_first:
        return Decision("offered", "It wasn't compared with an earlier version.")
    if comparison is None:
        reason = "It is the first version of the model."
    elif comparison.verdict not in PASSES:
        return Decision("held", comparison.reason)
    elif comparison.removed_labels:
        shown = ", ".join(comparison.removed_labels[:_SHOWN])
        more = len(comparison.removed_labels) - _SHOWN
        shown += f" and {more} more" if more > 0 else ""
        return Decision("offered", f"It lacks labels of the version that serves: {shown}.")
    else:
        reason = comparison.reason
    return Decision("offered" if promote == "offer" else "promoted", reason)


class Models:
    """The models folder, as jobs use it.

    Args:
        registry: the models of the service.
        folder: the models folder; None if there is none that could be written.
    """

    def __init__(self, registry: Registry, folder: Path | None) -> None:
        self._registry = registry
        self._folder = folder

    def check_writable(self, name: str) -> None:
        """Check that a version of a model can be written to the models folder.

        Raises:
            ModelsReadOnly: it can't.
        """
        if self._folder is None:
            raise ModelsReadOnly(
                "A new version needs a models folder on this machine. Start the service with "
                "HUBEL_MODELS, and a folder that this user may write."
            )
        place = self._folder / name
        parent = place if place.is_dir() else self._folder
        if (place.exists() and not place.is_dir()) or not os.access(parent, os.W_OK | os.X_OK):
            raise ModelsReadOnly(
                f"{place} can't be written, so a new version has no place. Let this user write "
                "there; in Docker, mount the models folder without :ro."
            )

    def clear_unfinished(self) -> None:
        """Remove what a killed service left of its installations."""
        if self._folder is not None:
            for leftover in self._folder.glob(f"*/.*{_BESIDE}"):
                shutil.rmtree(leftover, ignore_errors=True)

    def is_first(self, name: str, version: int) -> bool:
        """Return whether a model has no other version than this one, held back ones included."""
        return not {*self._versions(name)} - {0, version}

    def next_version(self, name: str) -> int:
        """Return the version that a new bundle of a model gets."""
        return max([0, *self._versions(name)]) + 1

    def _versions(self, name: str) -> Iterator[int]:
        for entry in self._registry.entries:
            if entry.name == name and entry.version is not None:
                yield entry.version
        pins = self._registry.pins.of(name)
        yield from pins.held
        yield pins.serving or 0
        if self._folder is not None:
            with suppress(OSError):
                for folder in (self._folder / name).iterdir():
                    if folder.name.isdecimal():
                        yield int(folder.name)

    def serving_folder(self, name: str) -> Path | None:
        """Return the bundle of the version that serves; None if there is none."""
        try:
            return self._registry.find(name)[0].folder
        except ModelError:
            return None

    def place(self, name: str, version: int) -> Path | None:
        """Return where a version is, or would be."""
        return None if self._folder is None else self._folder / name / str(version)

    def install(self, bundle: Path) -> None:
        """Put a finished bundle into the models folder and load it, held back.

        Raises:
            TooMuchMemory: there is no memory for it beside the version that serves.
            ModelsReadOnly: the models folder, or the pin file, can't be written.
            PinFileInvalid: the pin file can't be used.
            BundleMismatch: the version is there already, or it is refused.
        """
        manifest = bundles.load(bundle).manifest
        name, version = manifest.name, manifest.version
        self.check_writable(name)
        target = self.place(name, version)
        assert target is not None
        if self.serving_folder(name) == target and _same(bundle, target):
            return  # the service was killed after it was promoted
        self._registry.check_memory(bundle)
        with self._registry.changing:
            self._registry.change(partial(_hold, name=name, version=version))
            if self._registry.unsaved is not None:
                raise ModelsReadOnly(
                    f"The new version can't be held back: {self._registry.unsaved}"
                )
            _move(bundle, target)
            entry = self._registry.promote(target)
        if not entry.ready or entry.version != version:
            raise BundleMismatch(f"The new version {version} is refused: {entry.reason}")

    def promote(self, name: str, version: int, instead_of: Path | None) -> bool:
        """Let an installed version serve; return False if another one serves meanwhile.

        Args:
            name: the model.
            version: its installed version.
            instead_of: the bundle that it was compared with; None: none served.

        Raises:
            PinFileInvalid: the pin file can't be used.
        """
        with self._registry.changing:
            if self.serving_folder(name) not in (instead_of, self.place(name, version)):
                return False
            self._registry.change(partial(_release, name=name, version=version))
        log.info("version %d of model %s serves", version, name)
        return True

    def hold(self, name: str, version: int, reason: str) -> None:
        """Leave an installed version held back, and say why in the pin file.

        Raises:
            PinFileInvalid: the pin file can't be used.
        """
        self._registry.hold(name, version, reason)
        log.info("version %d of model %s is held back: %s", version, name, reason)

    def check_free(self, name: str, version: int) -> None:
        """Check that no version of a model is in the way of a new one.

        Raises:
            BundleMismatch: there is this version already.
        """
        if version in self._versions(name):
            raise BundleMismatch(
                f"Version {version} of {name!r} is there already, or was. Send a bundle with a "
                "higher version."
            )


def install_verified(models: Models, registry: Registry, bundle: Path) -> None:
    """Verify the bundle in a folder, then put it into the models folder; see `Models.install`.

    Raises:
        BundleError: it can't be served.
    """
    manifest = bundles.load(bundle).manifest
    models.check_writable(manifest.name)
    models.check_free(manifest.name, manifest.version)
    registry.verify(bundle)
    models.install(bundle)


def _hold(_: Catalogue, pins: Pins, name: str, version: int) -> Pins:
    before = pins.of(name)
    return pins.with_model(name, before.serving, {*before.held, version}, before.trial)


def _release(_: Catalogue, pins: Pins, name: str, version: int) -> Pins:
    """Let a version serve; if another one is pinned, the pin moves."""
    before = pins.of(name)
    serving = None if before.serving is None else version
    return pins.with_model(name, serving, {*before.held} - {version}, before.trial)


def _move(bundle: Path, target: Path) -> None:
    """Put a bundle at `target` by one rename; nothing happens if it is there already.

    Raises:
        BundleMismatch: something else is there.
        ModelsReadOnly: it can't be written.
    """
    if target.exists():
        if _same(bundle, target):
            return
        raise BundleMismatch(
            f"{target} was written by somebody else while the job ran. Start the job again."
        )
    try:
        target.parent.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(_BESIDE, f".{target.name}.", target.parent))
        try:
            shutil.copytree(bundle, beside, copy_function=_link_or_copy, dirs_exist_ok=True)
            _sync_all(beside)
            beside.chmod(0o755)
            os.replace(beside, target)
            sync(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as err:
        raise ModelsReadOnly(
            f"{target} can't be written ({err.strerror or err}). Make room, or let this user "
            "write there; then resume the job."
        ) from err


def _same(bundle: Path, other: Path) -> bool:
    try:
        return (bundle / MANIFEST).read_bytes() == (other / MANIFEST).read_bytes()
    except OSError:
        return False


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _sync_all(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        sync(path)
