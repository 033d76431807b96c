"""The ends of trials whose version has no bundle any more.

pins -> the trials -> has the version's folder a bundle.json? -> else the trial ends
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from app import bundle as bundles
from app.runtime import choices
from app.runtime.catalogue import Entry
from app.runtime.pins import Pins
from app.runtime.registry import Registry


@dataclass(frozen=True)
class EndedTrial:
    """A trial that has ended by itself, and why."""

    name: str
    version: int
    reason: str
    """One sentence."""


def end_lost_trials(registry: Registry) -> list[EndedTrial]:
    """End the trials whose version has no bundle any more, and return them.

    While the pin file is missing, too, its folder is perhaps unmounted; nothing ends then.

    Raises:
        PinFileInvalid: the pin file can't be used. Nothing was changed.
    """
    if not any(pins.trial for pins in registry.pins.models.values()):
        return []
    with registry.changing:
        if registry.has_lost_pin_file():
            return []
        lost = list(_without_bundle(registry.entries, registry.pins))
        for trial in lost:
            end = partial(choices.end_trial, name=trial.name, version=trial.version)
            registry.change(end)
        return lost


def _without_bundle(entries: Sequence[Entry], pins: Pins) -> Iterator[EndedTrial]:
    """Yield the trials whose version has no folder with a bundle.json."""
    for name, of_model in pins.models.items():
        if (trial := of_model.trial) is None:
            continue
        folders = [e.folder for e in entries if (e.name, e.version) == (name, trial.version)]
        if any((folder / bundles.MANIFEST).is_file() for folder in folders):
            continue
        gone = f"its folder {folders[0]} is missing" if folders else "there is no bundle of it"
        reason = f"The {trial.mode} of version {trial.version} has ended: {gone}."
        yield EndedTrial(name, trial.version, reason)
