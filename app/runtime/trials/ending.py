"""The ends of trials whose version has no bundle any more.

pins -> the trials -> has the version's folder a bundle.json? -> else `LostTrial`
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from app import bundle as bundles
from app.runtime import choices
from app.runtime.catalogue import Entry
from app.runtime.pins import Pins
from app.runtime.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LostTrial:
    """A trial that has to end, and why."""

    name: str
    version: int
    reason: str
    """One sentence."""


def lost_trials(registry: Registry) -> list[LostTrial]:
    """Return the trials whose version has no bundle any more.

    While the pin file is missing, too, its folder is perhaps unmounted; nothing is lost then.
    """
    pins = registry.pins
    if not any(of_model.trial for of_model in pins.models.values()):
        return []
    return [] if registry.has_lost_pin_file() else list(_without_bundle(registry.entries, pins))


def end_trial(registry: Registry, trial: LostTrial) -> None:
    """End a trial; its version stays held back.

    Raises:
        PinFileInvalid: the pin file can't be used. Nothing was changed.
    """
    registry.change(partial(choices.end_trial, name=trial.name, version=trial.version))
    log.warning("model %s: %s", trial.name, trial.reason)


def _without_bundle(entries: Sequence[Entry], pins: Pins) -> Iterator[LostTrial]:
    """Yield the trials whose version has no folder with a bundle.json."""
    for name, of_model in pins.models.items():
        if (trial := of_model.trial) is None:
            continue
        folders = [e.folder for e in entries if (e.name, e.version) == (name, trial.version)]
        if any((folder / bundles.MANIFEST).is_file() for folder in folders):
            continue
        gone = f"its folder {folders[0]} is missing" if folders else "there is no bundle of it"
        reason = f"The {trial.mode} of version {trial.version} has ended: {gone}."
        yield LostTrial(name, trial.version, reason)
