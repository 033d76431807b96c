"""The known bundles at one moment, immutable: entries, pinned versions, and their lookup.

The registry replaces the whole catalogue at each change, so that readers need no lock.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from app.errors import ModelNotReady, UnknownModel
from app.runtime.loaded_model import Model


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
    """All entries and the pinned versions."""

    entries: tuple[Entry, ...] = ()
    """Sorted by name, then the newest version first."""
    pinned: Mapping[str, int] = field(default_factory=dict)
    """The versions that are selected even if a higher one is ready, by model name."""

    def named(self, name: str) -> list[Entry]:
        """Return the entries of the model `name`, the newest version first."""
        return [entry for entry in self.entries if entry.name == name]

    def find(self, name: str, version: int | None) -> tuple[Entry, Model]:
        """Return the entry for a request, and its model.

        Args:
            name: the model's name.
            version: None for the selected one: the pinned one, else the highest that is ready.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
            ModelNotReady: it exists and isn't ready.
        """
        named = self.named(name)
        if not named:
            known = ", ".join(sorted({entry.name for entry in self.entries})) or "none"
            raise UnknownModel(f"There is no model {name!r}. Known models: {known}.")
        matches = [entry for entry in named if version in (None, entry.version)]
        if not matches:
            known = ", ".join(str(entry.version) for entry in named)
            raise UnknownModel(f"Model {name!r} has no version {version}. It has: {known}.")
        if version is None and (pinned := self.pinned.get(name)):
            matches.sort(key=lambda entry: entry.version != pinned)
        for entry in matches:
            if entry.model is not None:
                return entry, entry.model
        raise ModelNotReady(f"Model {name!r} is not ready: {matches[0].reason}")

    def with_entry(self, entry: Entry) -> "Catalogue":
        """Return a copy in which `entry` replaces the one of the same folder."""
        others = [other for other in self.entries if other.folder != entry.folder]
        by_name = sorted([*others, entry], key=lambda e: (e.name, -(e.version or 0)))
        return replace(self, entries=tuple(by_name))

    def without(self, folders: Collection[Path]) -> "Catalogue":
        """Return a copy without the entries of `folders`."""
        return replace(self, entries=tuple(e for e in self.entries if e.folder not in folders))

    def with_pin(self, name: str, version: int | None) -> "Catalogue":
        """Return a copy in which `version` of `name` is pinned; with None, no version is."""
        others = {other: pin for other, pin in self.pinned.items() if other != name}
        return replace(self, pinned=others if version is None else {**others, name: version})
