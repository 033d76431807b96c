"""The start of a trial: a version is held back, loaded, and tried beside the one that serves.

name, version? -> `candidate`: the present trial, else the highest version above the serving one
               -> `start_trial`: is there memory? -> held back -> loaded, unless it is
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.errors import BadParameter, BundleMismatch, UnknownModel
from app.runtime import choices
from app.runtime.catalogue import Catalogue
from app.runtime.discovery import identity, stamp_of
from app.runtime.pins import Pins, Trial, TrialMode
from app.runtime.registry import Registry
from app.runtime.reload import absence, candidates, missing_error

log = logging.getLogger(__name__)


def start_trial(
    registry: Registry, name: str, mode: TrialMode, share: float, version: int | None = None
) -> None:
    """Try a version beside the one that serves; it is held back from then on.

    It is loaded unless its folder is as it was loaded. If it is refused, it stays held back.

    Args:
        registry: the models.
        name: the model's name.
        mode: how it is tried.
        share: the share of images or requests, more than 0 and at most 1.
        version: the version; None for the one that is tried, else the highest above the one that
            serves.

    Raises:
        ModelError: there is no such version, no version serves, or the bundle is refused.
        BadParameter: the version serves, or another one is tried.
        TooMuchMemory: there is no memory for it beside the one that serves.
        PinFileInvalid: the pin file can't be used. Nothing was changed.
    """
    with registry.changing:
        pins = registry.newest_pins()
        found = candidate(registry.catalogue, pins, registry.roots, name, version)
        folder, trial = found.folder, Trial(mode=mode, version=found.version, share=share)
        is_loaded = registry.loader.has_tried(folder, stamp_of(folder)) and any(
            entry.ready and entry.folder == folder for entry in registry.entries
        )
        if not is_loaded:
            registry.check_memory(folder)
        registry.change(partial(choices.start_trial, name=name, trial=trial))
        if not is_loaded and (reason := registry.promote(folder).reason):
            registry.change(partial(choices.end_trial, name=name, version=trial.version))
            raise BundleMismatch(
                f"Version {trial.version} is refused, and stays held back: {reason}"
            )
        log.warning("%s of %s version %d begins: share %g", mode, name, trial.version, share)


@dataclass(frozen=True)
class Candidate:
    """The version to try."""

    version: int
    folder: Path


def candidate(
    catalogue: Catalogue, pins: Pins, roots: Sequence[Path], name: str, version: int | None
) -> Candidate:
    """Return the version to try.

    Args:
        catalogue: the known bundles.
        pins: the choices in force.
        roots: the folders to search.
        name: the model's name.
        version: the version; None for the one that is tried already, else the highest above the
            serving one that isn't held back.

    Raises:
        UnknownModel: there is no such model, or no version to try.
        ModelNotReady: no version serves.
        BadParameter: the version serves, or another one is tried.
        BundleMissing: the version is loaded, and its folder is missing.
    """
    serving = catalogue.find(name, None)[1].version
    chosen = pins.of(name)
    if version is None and chosen.trial is not None:
        version = chosen.trial.version
    found = candidates(name, version, roots, catalogue)
    folders = {identity(folder)[1]: folder for folder in reversed(found.folders)}
    if version is None:
        above = [v for v in folders if v is not None and v > serving and v not in chosen.held]
        if not above:
            raise UnknownModel(
                f"There is no version of {name!r} above {serving}, which serves, that isn't held "
                "back. Copy one into the models folder, or name a version."
            )
        version = max(above)
    if version in (serving, chosen.serving):
        raise BadParameter(
            f"Version {version} of {name!r} serves, so it can't be tried. Roll back first, or name "
            "another version."
        )
    if chosen.trial is not None and chosen.trial.version != version:
        raise BadParameter(
            f"The {chosen.trial.mode} of version {chosen.trial.version} of {name!r} is not over. "
            "End it first with mode=reject, or promote that version."
        )
    if version not in folders:
        missing = [entry for entry in found.missing if entry.ready]
        raise missing_error(missing[0]) if missing else absence(name, version)
    return Candidate(version, folders[version])
