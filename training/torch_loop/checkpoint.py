"""What an interrupted run leaves, to go on from: one file, written beside and renamed.

It belongs to one run: the same photos, recipe, options, seed and torch; anything else is refused by
name.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from training.contracts import Recipe, TrainingData
from training.data.photos import fingerprint
from training.errors import DataUnusable

_FILE = "state.pt"


def identity(recipe: Recipe, training_data: TrainingData) -> Mapping[str, Any]:
    """What must be the same for a run of `recipe` to go on."""
    return {
        "--recipe": recipe.name,
        **{f"--{name}": value for name, value in recipe.metadata.items()},
        "--seed": training_data.seed,
        "photos of fingerprint": fingerprint(training_data.examples.photos)[:12],
        "torch": torch.__version__,
    }


class Checkpoint:
    """The state of one run after its last whole epoch.

    Args:
        folder: where it lies; made when first needed.
        identity: what must be the same to go on, by name.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._identity = {name: str(value) for name, value in identity.items()}

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace what is there.

        Raises:
            DataUnusable: it can't be written; what was there still is.
        """
        part = self._folder / f"{_FILE}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            torch.save({"identity": self._identity, "state": dict(state)}, part)
            os.replace(part, self._folder / _FILE)
        except (OSError, RuntimeError) as err:  # the latter is torch's for a full disk
            with suppress(OSError):
                part.unlink()
            raise DataUnusable(
                f"The checkpoint can't be written to {self._folder} ({err}). Is the disk full? "
                "The same command with --resume goes on after the last epoch that was kept."
            ) from err

    def load(self) -> dict[str, Any]:
        """What `save` was given last.

        Raises:
            DataUnusable: there is none, it can't be read, or it is another run's.
        """
        file = self._folder / _FILE
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError as err:
            raise DataUnusable(
                f"There is no checkpoint at {self._folder} to go on from. Leave --resume out."
            ) from err
        except Exception as err:  # a broken file fails in many ways
            raise DataUnusable(
                f"The checkpoint {file} can't be read. Leave --resume out to begin anew."
            ) from err
        for name, value in self._identity.items():
            if (was := saved["identity"].get(name)) != value:
                raise DataUnusable(
                    f"The checkpoint at {self._folder} was begun with {name} {was}, not {value}. "
                    "Give the same again, or leave --resume out to begin anew."
                )
        state: dict[str, Any] = saved["state"]
        return state
