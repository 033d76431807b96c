"""The reload of a model: which bundles are loaded again, and whether the selection may change then.

roots, catalogue -> `candidates`: the folders of a name, and the entries whose folder is missing
                 -> the registry loads the folders
                 -> `objection_to`: the entry that should be selected is refused or missing
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import BundleError, BundleMismatch, BundleMissing, UnknownModel
from app.runtime.catalogue import Catalogue, Entry
from app.runtime.discovery import discover, identity


@dataclass(frozen=True)
class Candidates:
    """The bundles that a reload concerns."""

    folders: Sequence[Path]
    """The folders to load."""
    missing: Sequence[Entry]
    """Known entries whose folder is missing."""


def candidates(
    name: str, version: int | None, roots: Sequence[Path], catalogue: Catalogue
) -> Candidates:
    """Return the candidates of a model, or of one version of it, below `roots`."""
    known = catalogue.named(name)
    found = list(discover(roots))
    folders = [f for f in found if f in {e.folder for e in known} or identity(f)[0] == name]
    missing = [entry for entry in known if entry.folder not in found]
    if version is not None:
        folders = [folder for folder in folders if identity(folder)[1] == version]
        missing = [entry for entry in missing if entry.version == version]
    return Candidates(folders, missing)


def absence(name: str, version: int | None) -> UnknownModel:
    """Return the error for a model or version without a bundle."""
    what = f"model {name!r}" if version is None else f"version {version} of {name!r}"
    return UnknownModel(
        f"There is no bundle of {what}. Copy it into the models folder, and reload."
    )


def objection_to(
    entries: Sequence[Entry], missing: Sequence[Entry], held: Collection[int]
) -> BundleError | None:
    """Return why the entry that should be selected after a reload can't be; None if it can.

    Args:
        entries: the entries that were loaded or refused.
        missing: the entries that serve on although their folder is missing.
        held: versions that aren't to be selected.
    """
    ready = [entry.version or 0 for entry in entries if entry.ready and entry.version not in held]
    highest = max(ready, default=0)
    for entry in entries:
        if entry.version in held or not entry.reason:
            continue
        # An older version that is refused changes nothing.
        if entry.ready or entry.version is None or entry.version > highest:
            return BundleMismatch(f"{entry.folder.name} is refused: {entry.reason}")
    for entry in missing:
        if entry.version not in held and (entry.version or 0) > highest:
            return missing_error(entry)
    return None


def missing_error(entry: Entry) -> BundleMissing:
    """Return the error for an entry that serves on although its folder is missing."""
    return BundleMissing(
        f"Model {entry.name!r} version {entry.version} serves on, as it was loaded. {entry.reason} "
        "To stop serving it, unload it."
    )
