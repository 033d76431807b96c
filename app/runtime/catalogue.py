"""The known bundles at one moment, immutable: entries, pins, and the lookup of a request's model.

The registry replaces the whole catalogue at each change, so that readers need no lock.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.errors import BadParameter, ModelNotReady, UnknownModel
from app.runtime.loaded_model import Model
from app.runtime.pins import NO_PINS, Pins


@dataclass(frozen=True)
class Entry:
    """A folder that holds a bundle, or should hold one, and its model if that is ready."""

    name: str
    version: int | None
    """None if bundle.json can't be read."""
    folder: Path
    model: Model | None
    """None if it isn't ready."""
    reason: str | None = None
    """Why the present content of the folder isn't loaded; an older model may still be ready."""
    unloaded: bool = False
    """True if it was unloaded on request."""

    @property
    def ready(self) -> bool:
        """True if its model is loaded and verified."""
        return self.model is not None

    @property
    def state(self) -> Literal["ready", "unloaded", "refused"]:
        """The state in one word."""
        if self.ready:
            return "ready"
        return "unloaded" if self.unloaded else "refused"


@dataclass(frozen=True)
class Catalogue:
    """All entries, and the choices of versions."""

    entries: tuple[Entry, ...] = ()
    """Sorted by name, then the newest version first."""
    pins: Pins = NO_PINS
    """The versions that are pinned or held back."""

    def named(self, name: str) -> list[Entry]:
        """Return the entries of the model `name`, the newest version first."""
        return [entry for entry in self.entries if entry.name == name]

    def find(self, name: str, version: int | None) -> tuple[Entry, Model]:
        """Return the entry for a request, and its model.

        Args:
            name: the model's name.
            version: None for the selected one: the pinned one, else the highest that is ready and
                not held back.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
            ModelNotReady: it exists and isn't ready.
        """
        named = self.named(name)
        if not named:
            known = ", ".join(sorted({entry.name for entry in self.entries})) or "none"
            raise UnknownModel(f"There is no model {name!r}. Known models: {known}.")
        if version is None:
            matches = self._selectable(name, named)
        else:
            matches = [entry for entry in named if entry.version == version]
        if not matches:
            known = ", ".join(str(entry.version) for entry in named)
            raise UnknownModel(f"Model {name!r} has no version {version}. It has: {known}.")
        for entry in matches:
            if entry.model is not None:
                return entry, entry.model
        raise ModelNotReady(f"Model {name!r} is not ready: {matches[0].reason}")

    def _selectable(self, name: str, named: Sequence[Entry]) -> list[Entry]:
        """Return the entries that may serve a request without a version, the best first.

        Raises:
            ModelNotReady: the pinned version is missing, or all versions are held back.
        """
        pins = self.pins.of(name)
        if pins.serving is None:
            matches = [entry for entry in named if entry.version not in pins.held]
            problem = f"all its versions are held back ({', '.join(map(str, pins.held))})"
        else:
            matches = [entry for entry in named if entry.version == pins.serving]
            problem = f"version {pins.serving} is pinned, and there is no bundle of it"
        if not matches:
            raise ModelNotReady(
                f"Model {name!r} is not ready: {problem}. Select another version by a reload."
            )
        return matches

    def highest_below(self, name: str, version: int) -> int:
        """Return the highest version of `name` below `version` that is ready and not held back.

        Raises:
            UnknownModel: there is none.
        """
        held = self.pins.of(name).held
        for entry in self.named(name):
            candidate = entry.version or version
            if entry.ready and candidate < version and candidate not in held:
                return candidate
        raise UnknownModel(
            f"Model {name!r} has no version below {version} that is ready and not held back. Copy "
            "one into the models folder and reload it with its version."
        )

    def roll_back_target(self, name: str, version: int | None) -> tuple[int, int]:
        """Return the version to roll back to, and the one that is selected now.

        Args:
            name: the model's name.
            version: the version to roll back to; None for the highest below the selected one that
                isn't held back.

        Raises:
            UnknownModel: there is no such model, no such version, or no lower version.
            ModelNotReady: the version isn't ready; or none was given, and none is selected.
            BadParameter: the version is higher than the selected one.
        """
        target = None if version is None else self.find(name, version)[1].version
        try:
            selected = self.find(name, None)[1].version
        except ModelNotReady:
            if target is None:
                raise
            selected = target
        if target is None:
            target = self.highest_below(name, selected)
        if target > selected:
            raise BadParameter(
                f"Version {target} of {name!r} is higher than version {selected}, which "
                "serves. Use mode=promote."
            )
        return target, selected

    def with_entry(self, entry: Entry) -> "Catalogue":
        """Return a copy in which `entry` replaces the one of the same folder.

        If that was the pinned version, and `entry` is another, the pin is removed with it.
        """
        others = [other for other in self.entries if other.folder != entry.folder]
        by_name = sorted([*others, entry], key=lambda e: (e.name, -(e.version or 0)))
        return replace(self, entries=tuple(by_name), pins=self._pins_without_replaced(entry))

    def _pins_without_replaced(self, entry: Entry) -> Pins:
        for before in self.entries:
            pins = self.pins.of(before.name)
            is_pinned = before.version is not None and before.version == pins.serving
            is_other = (before.name, before.version) != (entry.name, entry.version)
            if before.folder == entry.folder and is_pinned and is_other:
                return self.pins.with_model(before.name, None, pins.held, pins.trial)
        return self.pins

    def without(self, folders: Collection[Path]) -> "Catalogue":
        """Return a copy without the entries of `folders`."""
        return replace(self, entries=tuple(e for e in self.entries if e.folder not in folders))

    def with_missing(self, missing: Iterable[Entry]) -> "tuple[Catalogue, list[Entry]]":
        """Return a copy without the entries of `missing` that aren't ready, or were moved.

        Args:
            missing: entries whose folder is missing.

        Returns:
            The copy, and the entries that stay: their models stay in use, with the reason.
        """
        catalogue, kept = self, []
        for entry in missing:
            catalogue = catalogue.without([entry.folder])
            others = catalogue.named(entry.name)
            is_moved = any(other.version == entry.version and other.ready for other in others)
            if entry.ready and not is_moved:
                reason = f"Its folder {entry.folder} is missing or can't be read. Put it back."
                kept.append(replace(entry, reason=reason))
                catalogue = catalogue.with_entry(kept[-1])
        return catalogue, kept

    def with_unloaded(self, name: str, version: int | None) -> "Catalogue":
        """Return a copy in which a version of a model, or all for None, has no loaded model.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
        """
        entries = [entry for entry in self.named(name) if version in (None, entry.version)]
        if not entries:
            what = f"model {name!r}" if version is None else f"version {version} of {name!r}"
            raise UnknownModel(f"There is no {what} to unload.")
        catalogue = self
        for entry in entries:
            reason = "It was unloaded. Load it again."
            unloaded = replace(entry, model=None, reason=reason, unloaded=True)
            catalogue = catalogue.with_entry(unloaded)
        return catalogue
