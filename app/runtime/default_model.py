"""The default model: the model for requests that name none.

It is settled once, when all models are loaded, and kept while the process runs unless an
administrator chooses another. In order: a choice that the pin file records, HUBEL_DEFAULT_MODEL,
the only own model, imagenet if there is no own model. With several own models there is none.
"""

from collections.abc import Collection
from dataclasses import dataclass

BUILT_IN = "imagenet"
"""The name of the model that Hubel brings along."""


@dataclass(frozen=True)
class DefaultModel:
    """The default model and why it is that one."""

    name: str | None
    """None if a request must name its model."""
    reason: str
    """One sentence."""


def settle(chosen: str | None, setting: str | None, own: Collection[str]) -> DefaultModel:
    """Return the default model.

    Args:
        chosen: the choice of an administrator, from the pin file.
        setting: HUBEL_DEFAULT_MODEL.
        own: the names in the models folder. A refused model counts, too, so that requests don't
            get predictions of another model instead.
    """
    if chosen is not None:
        instead = f", instead of HUBEL_DEFAULT_MODEL={setting}" if setting else ""
        return DefaultModel(chosen, f"It was chosen at run time{instead}.")
    if setting is not None:
        return DefaultModel(setting, "HUBEL_DEFAULT_MODEL names it.")
    if not own:
        return DefaultModel(BUILT_IN, "There is no model in the models folder.")
    if len(own) == 1:
        return DefaultModel(next(iter(own)), "It is the only model in the models folder.")
    listed = ", ".join(sorted(own))
    return DefaultModel(
        None, f"The models folder has several models: {listed}. Set HUBEL_DEFAULT_MODEL."
    )
