"""The checkpoint of a training run: one file, written beside the old one and then renamed.

A checkpoint belongs to one run: the same photos, recipe, options, seed and version of torch. For
any other run, the error names the difference.
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


def run_properties(recipe: Recipe, training_data: TrainingData) -> Mapping[str, Any]:
    """Return the properties that must be unchanged for a run of `recipe` to resume."""
    return {
        "--recipe": recipe.name,
        **{f"--{name}": value for name, value in recipe.metadata.items()},
        "--fit": training_data.input.fit,
        "--seed": training_data.seed,
        "photos of fingerprint": fingerprint(training_data.examples.photos)[:12],
        "torch": torch.__version__,
    }


class Checkpoint:
    """The state of one run after its last whole epoch.

    Args:
        folder: the folder of the file; created when first needed.
        identity: the properties that must be unchanged to resume, by name.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._identity = {name: str(value) for name, value in identity.items()}

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the saved state.

        Raises:
            DataUnusable: the file can't be written; the state that was saved before is kept.
        """
        part = self._folder / f"{_FILE}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            torch.save({"identity": self._identity, "state": dict(state)}, part)
            os.replace(part, self._folder / _FILE)
        except (OSError, RuntimeError) as err:  # torch raises RuntimeError on a full disk
            with suppress(OSError):
                part.unlink()
            raise DataUnusable(
                f"The checkpoint can't be written to {self._folder} ({err}). Is the disk full? "
                "The same command with --resume continues after the last epoch that was saved."
            ) from err

    def exists(self) -> bool:
        """Return whether a state of this run can be loaded."""
        try:
            self.load()
        except DataUnusable:
            return False
        return True

    def load(self) -> dict[str, Any]:
        """Return the state that was saved last.

        Raises:
            DataUnusable: there is no checkpoint, it can't be read, or it belongs to another run.
        """
        file = self._folder / _FILE
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError as err:
            raise DataUnusable(
                f"There is no checkpoint at {self._folder} to resume from. Leave --resume out."
            ) from err
        except Exception as err:  # a broken file fails in many ways
            raise DataUnusable(
                f"The checkpoint {file} can't be read. Leave --resume out to start again."
            ) from err
        for name, value in self._identity.items():
            if (saved_value := saved["identity"].get(name)) != value:
                raise DataUnusable(
                    f"The checkpoint at {self._folder} was made with {name} {saved_value}, not "
                    f"{value}. Pass the same again, or leave --resume out to start again."
                )
        state: dict[str, Any] = saved["state"]
        return state
