"""The registry of models: it loads, replaces and unloads them, and selects one for each request.

    folders -> `discover` -> `promote` each: load and verify, while the old model stays in use
                               -> passed: replaces the old model in one step
                               -> refused: the old model stays in use; the reason is kept
            -> `resolve`: a request keeps its model until it is done

An entry is ready if its model is loaded and verified: requests can name it. One version of each
model is selected, and gets the requests that name no version: the highest that is ready and not
held back, unless one is pinned. Only `unload` stops a model; a folder that is missing doesn't. A
model that was replaced or unloaded is freed when the last request that uses it is done.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from app.errors import BundleError, ModelError, ModelNotReady, ModelRequired
from app.runtime import choices, host
from app.runtime.bundle_loader import BundleLoader
from app.runtime.catalogue import Catalogue, Entry
from app.runtime.default_model import settle
from app.runtime.discovery import discover, findings
from app.runtime.loaded_model import Model
from app.runtime.pins import NO_PINS, PinFile, Pins
from app.runtime.reload import absence, candidates, missing_error, objection_to

log = logging.getLogger(__name__)


class Registry:
    """All models below some folders.

    Args:
        roots: folders to search, the user's first; of two bundles with one name and version the
            first is used.
        load: turns a bundle's folder into a verified model.
        default: the model for requests that name none; None selects one.
        pin_file: where choices are kept; None keeps them in memory.

    Raises:
        PinFileInvalid: the pin file can't be used.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        load: Callable[[Path], Model],
        default: str | None = None,
        pin_file: PinFile | None = None,
    ) -> None:
        self.roots = roots
        self._default_setting = default
        self._pin_file = pin_file or PinFile(None)
        self._catalogue = Catalogue(pins=self._pin_file.read() or NO_PINS)
        self.default = settle(self._catalogue.pins.default, default, ())
        """The default model; settled once all models are loaded."""
        self.unsaved: str | None = None
        """Why the newest choice ends with this process; None if it is in the pin file."""
        self.loader = BundleLoader(load)
        self.changing = threading.RLock()
        """Held while models or choices change."""
        self._loading = threading.Lock()
        self._is_loaded = False
        self.while_loading: Callable[[Path], AbstractContextManager[None]] = _unaccounted
        """Entered with a bundle's folder while it is loaded."""
        self.check_memory: Callable[[Path], None] = _accept
        """Called with the folder of a bundle that is to be loaded beside the serving version; it
        raises TooMuchMemory if that doesn't fit."""
        self.on_change: Callable[[], None] = _do_nothing
        """Called after models were loaded, replaced or unloaded."""

    @property
    def catalogue(self) -> Catalogue:
        """The known bundles and the choices, at this moment."""
        return self._catalogue

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The known bundles, sorted by name, then the newest version first."""
        return self._catalogue.entries

    @property
    def pins(self) -> Pins:
        """The pinned and held versions, and the chosen default model."""
        return self._catalogue.pins

    @property
    def promotions(self) -> Counter[tuple[str, str]]:
        """The number of promotions by name and result, `promoted` or `refused`."""
        return self.loader.results

    def load_all(self) -> None:
        """Load all bundles in the roots, then settle the default model.

        A refused bundle is kept with its reason. This happens once. A caller that arrives while
        another thread loads waits for it.

        Raises:
            DeviceUnavailable: ONNX Runtime can't use the device that `choose_device` returned.
        """
        with self._loading:
            if self._is_loaded:
                return
            for finding in findings(self.roots[0]):
                log.warning(finding)
            for folder in discover(self.roots):
                self.promote(folder)
            self._settle_default()
            self._is_loaded = True

    def _settle_default(self) -> None:
        self.default = settle(self.pins.default, self._default_setting, self._own_names())
        served = self.default.name or "400 model_required"
        log.info("requests that name no model get %s: %s", served, self.default.reason)

    def _own_names(self) -> set[str]:
        """Return the models of the user's folder; not those whose every version is held back."""
        own = [entry for entry in self.entries if _is_below(entry.folder, self.roots[0])]
        return {entry.name for entry in own if entry.version not in self.pins.of(entry.name).held}

    def resolve(self, name: str | None = None, version: int | None = None) -> Model:
        """Return the model for a request; see `find`."""
        _, model = self.find(name, version)
        return model

    def find(self, name: str | None = None, version: int | None = None) -> tuple[Entry, Model]:
        """Return the entry for a request, and its model.

        Args:
            name: None for the default.
            version: None for the selected one: the pinned one, else the highest that is ready and
                not held back.

        Raises:
            ModelRequired: the name is None, and there is no default.
            UnknownModel: there is no such model, or no such version of it.
            ModelNotReady: it exists and isn't ready.
        """
        name = name or self.default.name
        if name is None:
            known = ", ".join(sorted({entry.name for entry in self.entries}))
            raise ModelRequired(
                f"The request names no model, and there are several: {known}. Name one of them, "
                "or set HUBEL_DEFAULT_MODEL."
            )
        return self._catalogue.find(name, version)

    def check_ready(self) -> None:
        """Check that requests which name no model get a response, or, without a default, any.

        Raises:
            ModelError: the default model isn't ready, or without a default no model is.
        """
        if self.default.name is not None:
            self.resolve()
        elif not any(entry.ready for entry in self.entries):
            raise ModelNotReady("No model is ready. See the log for the reasons.")

    def is_selected(self, entry: Entry) -> bool:
        """Return whether requests that name the model of `entry`, and no version, get `entry`."""
        try:
            return self.resolve(entry.name) is entry.model
        except ModelError:
            return False

    def verify(self, folder: Path) -> None:
        """Load and verify a bundle outside of the roots as others are, and let go of it.

        Raises:
            BundleError: it can't be served.
            TooMuchMemory: there is no memory for it beside the models that serve.
            DeviceUnavailable: ONNX Runtime can't use the device.
        """
        self.check_memory(folder)
        with self.changing, self.while_loading(folder):
            self.loader.verify(folder)
        host.release_memory()

    def promote(self, folder: Path, *, may_replace_pinned: bool = False) -> Entry:
        """Load the bundle in `folder`; it is ready as soon as it has passed its checks.

        Models become ready here and nowhere else. If the bundle is refused, a model that was loaded
        from the folder before stays in use, and its entry gets the reason. A version that is held
        back, or lower than the pinned one, becomes ready without being selected.
        """
        with self.changing:
            known = {entry.name for entry in self.entries}
            with_folder = partial(self.while_loading, folder)
            entry = self.loader.load(folder, self._catalogue, may_replace_pinned, with_folder)
            self._catalogue = self._catalogue.with_entry(entry)
        if self._is_loaded and entry.name not in known and self.default.name != entry.name:
            served = self.default.name or "400 model_required"
            log.info("model %s is new; requests that name no model get %s", entry.name, served)
        self.on_change()
        host.release_memory()
        return entry

    def reload(self, name: str, version: int | None = None) -> list[Entry]:
        """Load the bundles of this name again; the old models stay in use meanwhile.

        Args:
            name: the model's name.
            version: the only version to load; it is then pinned: it stays selected when a higher
                one arrives. None loads all, removes the pin and selects the highest that isn't
                held back.

        Returns:
            The entries that were loaded or refused, and those whose folder is missing. If the one
            that should be selected is refused or missing, the selection hasn't changed.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
            BundleMissing: its folder is missing; the model that was loaded from it serves on.
            PinFileInvalid: the pin file can't be used. Nothing was changed.
        """
        entries, _ = self._reload(name, version)
        return entries

    def reload_or_raise(self, name: str, version: int | None = None) -> None:
        """Reload, and raise if the selection hasn't changed because of a bundle.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
            BundleMismatch: a bundle was refused that would otherwise be selected now.
            BundleMissing: the folder of such a bundle is missing.
            PinFileInvalid: the pin file can't be used.
        """
        _, objection = self._reload(name, version)
        if objection is not None:
            raise objection

    def _reload(self, name: str, version: int | None) -> tuple[list[Entry], BundleError | None]:
        with self.changing:
            before = self.newest_pins()
            pins = before.of(name)
            found = candidates(name, version, self.roots, self._catalogue)
            if not found.folders:
                if kept := self._keep_missing(found.missing):
                    raise missing_error(max(kept, key=self.is_selected))
                raise absence(name, version)
            entries = [self.promote(f, may_replace_pinned=version is None) for f in found.folders]
            kept = self._keep_missing(found.missing)
            objection = objection_to(entries, kept, pins.held if version is None else ())
            pin_was_replaced = self.pins.of(name).serving != pins.serving
            if objection is None or pin_was_replaced:
                held = [other for other in pins.held if other != version]
                self._set_pins(before, before.with_model(name, version, held, pins.trial))
            return entries + kept, objection

    def _keep_missing(self, missing: Sequence[Entry]) -> list[Entry]:
        self._catalogue, kept = self._catalogue.with_missing(missing)
        self.on_change()
        return kept

    def roll_back(self, name: str, version: int | None = None) -> None:
        """Select a lower version that is loaded, or take back the trial; see `choices.roll_back`.

        Nothing is read from the models folder, so this works while it is missing.
        """
        self.change(partial(choices.roll_back, name=name, version=version))

    def reject(self, name: str, version: int | None = None) -> None:
        """Hold back a version that doesn't serve; see `choices.reject`."""
        self.change(partial(choices.reject, name=name, version=version))

    def hold(self, name: str, version: int, reason: str) -> None:
        """Hold back a version that doesn't serve, or that is still to come, and say why."""
        self.change(partial(choices.hold, name=name, version=version, reason=reason))

    def roll_back_target(self, name: str) -> int | None:
        """Return the version that a roll-back without a version would select; None: there is none.

        During a trial a roll-back ends that, and selects nothing.
        """
        try:
            return self._catalogue.roll_back_target(name, None)[0]
        except ModelError:
            return None

    def change(self, choose: Callable[[Catalogue, Pins], Pins]) -> None:
        """Put other choices into force, and into the pin file.

        Args:
            choose: returns them, from the known bundles and the choices in force.

        Raises:
            PinFileInvalid: the pin file can't be used. Nothing was changed.
        """
        with self.changing:
            before = self.newest_pins()
            self._set_pins(before, choose(self._catalogue, before))

    def choose_default(self, name: str) -> None:
        """Make a model the default, also after a restart; see `choices.choose_default`."""
        self.change(partial(choices.choose_default, name=name))

    def forget_default(self, name: str) -> None:
        """Forget that a model was made the default; the default is then settled as at a start."""
        self.change(partial(choices.forget_default, name=name))

    def unload(self, name: str, version: int | None = None) -> None:
        """Stop serving a version of a model, or all, and free their memory.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
        """
        with self.changing:
            self._catalogue = self._catalogue.with_unloaded(name, version)
        self.on_change()
        host.release_memory()
        log.info("model %s is unloaded", name if version is None else f"{name} version {version}")

    def follow_pin_file(self) -> None:
        """Apply the pin file if another process has changed it.

        Raises:
            PinFileInvalid: it can't be used; the earlier choices stay in force.
        """
        with self.changing:
            if self.unsaved is None and self._pin_file.has_changed():
                self._apply(self.newest_pins())
                log.info("%s was changed by another process, and is applied", self._pin_file.path)

    def has_lost_pin_file(self) -> bool:
        """Return whether the pin file is missing, though the choices are in it."""
        return self.unsaved is None and self._pin_file.is_missing()

    def newest_pins(self) -> Pins:
        """Return the choices in force, as other processes may have changed them in the file.

        Raises:
            PinFileInvalid: the pin file can't be used.
        """
        if self.unsaved is not None:
            return self.pins
        return self._pin_file.read() or self.pins  # a file that is missing is no wish

    def _set_pins(self, before: Pins, pins: Pins) -> None:
        """Put `pins` into force, and into the file unless it has them: `before` is its content."""
        if pins != before or self.unsaved is not None:
            reason = self._pin_file.write(pins)
            self.unsaved = reason and f"This choice ends with the process: {reason}."
            if self.unsaved:
                log.warning(self.unsaved)
        self._apply(pins)

    def _apply(self, pins: Pins) -> None:
        is_new_default = pins.default != self.pins.default
        self._catalogue = replace(self._catalogue, pins=pins)
        if is_new_default:
            self._settle_default()


def _do_nothing() -> None:
    pass


def _accept(_folder: Path) -> None:
    pass


def _unaccounted(_folder: Path) -> AbstractContextManager[None]:
    return nullcontext()


@lru_cache
def _is_below(folder: Path, root: Path) -> bool:
    return folder.is_relative_to(root)  # cached: it is slow and every list of models needs it
