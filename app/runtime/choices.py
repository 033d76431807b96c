"""The choices of an administrator: the known bundles and the choices in force -> other choices.

    roll_back    select a lower version, or take back the trial
    reject       hold a version back
    hold         the same for a version that may not be there yet, with the reason
    start_trial  hold a version back, and try it beside the one that serves
    end_trial    end the trial of a version, which stays held back
    choose_default, forget_default

`Registry.change` puts the result into force and into the pin file.
"""

import logging

from app.errors import BadParameter, ModelError, UnknownModel
from app.runtime.catalogue import Catalogue
from app.runtime.pins import Pins, Trial

log = logging.getLogger(__name__)


def roll_back(catalogue: Catalogue, pins: Pins, name: str, version: int | None = None) -> Pins:
    """Select a version that is already loaded, and hold back the one that was selected.

    A trial ends, and its version stays held back. If `version` is None, nothing else changes then.

    Args:
        catalogue: the known bundles.
        pins: the choices in force.
        name: the model's name.
        version: the version to select, which is pinned; None for the highest below the selected
            one that isn't held back.

    Raises:
        UnknownModel: there is no such model, no such version, or no lower version.
        ModelNotReady: the version isn't ready; or none was given, and none is selected.
        BadParameter: the version is higher than the selected one.
    """
    before = pins.of(name)
    if version is None and before.trial is not None:
        log.warning("the %s of %s version %d ends", before.trial.mode, name, before.trial.version)
        return pins.with_model(name, before.serving, before.held)
    target, selected = catalogue.roll_back_target(name, version)
    log.warning("model %s is rolled back to version %d", name, target)
    reasons = {selected: f"It was rolled back to version {target}."}
    return pins.with_model(name, target, {*before.held, selected} - {target}, reasons=reasons)


def reject(catalogue: Catalogue, pins: Pins, name: str, version: int | None = None) -> Pins:
    """Hold back a version that doesn't serve; if it is tried, the trial ends.

    Args:
        catalogue: the known bundles.
        pins: the choices in force.
        name: the model's name.
        version: the version; None for the one that is tried.

    Raises:
        UnknownModel: there is no such model, or no such version of it.
        BadParameter: the version serves; or none was given, and none is tried.
    """
    before = pins.of(name)
    if version is None:
        if before.trial is None:
            raise BadParameter(
                f"No version of {name!r} is shadowed or canaried. Name the version to reject."
            )
        version = before.trial.version
    if version not in {entry.version for entry in catalogue.named(name)} | set(before.held):
        raise UnknownModel(f"There is no version {version} of {name!r} to reject.")
    if version in (before.serving, selected_version(catalogue, name)):
        raise BadParameter(f"Version {version} of {name!r} serves. Use mode=rollback.")
    trial = before.trial if before.trial and before.trial.version != version else None
    log.warning("version %d of model %s is rejected", version, name)
    reasons = {version: "It was rejected."}
    return pins.with_model(name, before.serving, {*before.held, version}, trial, reasons)


def hold(_: Catalogue, pins: Pins, name: str, version: int, reason: str) -> Pins:
    """Hold a version back that doesn't serve, or that is still to come, and say why."""
    before = pins.of(name)
    held = {*before.held, version}
    return pins.with_model(name, before.serving, held, before.trial, {version: reason})


def start_trial(_: Catalogue, pins: Pins, name: str, trial: Trial) -> Pins:
    """Hold the version of `trial` back, and try it beside the one that serves."""
    before = pins.of(name)
    return pins.with_model(name, before.serving, {*before.held, trial.version}, trial)


def end_trial(_: Catalogue, pins: Pins, name: str, version: int) -> Pins:
    """End the trial of a version, which stays held back."""
    before = pins.of(name)
    if before.trial is None or before.trial.version != version:
        return pins
    return pins.with_model(name, before.serving, before.held)


def choose_default(catalogue: Catalogue, pins: Pins, name: str) -> Pins:
    """Make a model the default.

    Raises:
        UnknownModel: there is no such model.
        ModelNotReady: it isn't ready.
    """
    catalogue.find(name, None)
    return pins.with_default(name)


def forget_default(catalogue: Catalogue, pins: Pins, name: str) -> Pins:
    """Forget that a model was made the default.

    Raises:
        UnknownModel: there is no such model, and it isn't the default.
    """
    if pins.default == name:
        return pins.with_default(None)
    catalogue.find(name, None)
    return pins


def selected_version(catalogue: Catalogue, name: str) -> int | None:
    """Return the version that requests without a version get; None if none is ready."""
    try:
        return catalogue.find(name, None)[1].version
    except ModelError:
        return None
