"""The pin file: an administrator's choices of versions and of the default model.

    pins.json -> `PinFile.read`: schema -> Pins -> app.runtime.registry
    a choice  -> Pins -> `PinFile.write`: beside, then renamed

The file lies in the models folder, so that choices outlive a restart; where that is read-only, in
the data folder, which then wins over a file in the models folder. It records, per model, the
version that serves, the versions that are held back and why, the one of them that is tried, and a
default model that was chosen at run time. A file that can't be read is an error: without it, a
version that was rolled back would serve again.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from app.durable_files import write_file
from app.errors import PinFileInvalid

PIN_FILE = "pins.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


TrialMode = Literal["shadow", "canary"]


class Trial(_Part):
    """A version that is tried beside the one that serves."""

    mode: TrialMode
    """shadow: it runs on a share of the images, and responses never come from it. canary: it gives
    the responses of a share of the requests."""
    version: PositiveInt
    share: Annotated[float, Field(gt=0, le=1)]


class ModelPins(_Part):
    """The choices about the versions of one model."""

    serving: PositiveInt | None = None
    """The version that serves requests which name none; None for the highest that isn't held."""
    held: tuple[PositiveInt, ...] = ()
    """Versions that serve only requests which name them, sorted; the one that is tried, too."""
    trial: Trial | None = None
    """The version that is tried; None if there is none."""
    reasons: Mapping[PositiveInt, str] = {}
    """Why versions in `held` are held back, where that is known."""

    @model_validator(mode="after")
    def _check_trial(self) -> Self:
        if self.trial is not None and self.trial.version not in self.held:
            raise ValueError(f"`held` must list version {self.trial.version}, which is tried")
        return self


_NO_CHOICE = ModelPins()


class Pins(_Part):
    """The content of the pin file."""

    schema_version: Literal[1]
    default: str | None = None
    """The default model that was chosen at run time."""
    models: Mapping[str, ModelPins] = {}

    def of(self, name: str) -> ModelPins:
        """Return the choices about model `name`; empty ones if there are none."""
        return self.models.get(name, _NO_CHOICE)

    def with_model(
        self,
        name: str,
        serving: int | None,
        held: Iterable[int],
        trial: Trial | None = None,
        reasons: Mapping[int, str] = {},
    ) -> "Pins":
        """Return a copy with other choices about model `name`.

        `trial` ends if its version isn't among those in `held`. `reasons` are added to the earlier
        ones of versions that stay held back.
        """
        versions = tuple(sorted(set(held)))
        if trial is not None and trial.version not in versions:
            trial = None
        every = {**self.of(name).reasons, **reasons}
        kept = {version: every[version] for version in versions if version in every}
        changed = ModelPins(serving=serving, held=versions, trial=trial, reasons=kept)
        others = {other: pins for other, pins in self.models.items() if other != name}
        models = others if changed == _NO_CHOICE else {**others, name: changed}
        return self.model_copy(update={"models": models})

    def with_default(self, name: str | None) -> "Pins":
        """Return a copy with another default model; None for no choice."""
        return self.model_copy(update={"default": name})


NO_PINS = Pins(schema_version=1)
"""The content of a file without any choice."""

_Stamp = tuple[int, int, int] | None


class PinFile:
    """The pin file on disk, written by this process and perhaps by others on the same folder.

    Args:
        folder: the models folder; None if there is none.
        data_dir: where the file lies if it can't be in the models folder; None: nowhere, so that
            choices can't be kept.
    """

    def __init__(self, folder: Path | None, data_dir: Path | None = None) -> None:
        self._in_models = None if folder is None else folder / PIN_FILE
        self.path = self._in_models
        if data_dir is not None:
            in_data = data_dir / PIN_FILE
            if in_data.exists() or folder is None or not os.access(folder, os.W_OK):
                self.path = in_data
        self._stamp: _Stamp = None

    def read(self) -> Pins | None:
        """Return the file's content; None if there is no file.

        Raises:
            PinFileInvalid: it can't be read, or isn't a pin file.
        """
        self._stamp = self._stamp_on_disk()
        for path in (self.path, self._in_models):
            if path is not None and (pins := _read(path)) is not None:
                return pins
        return None

    def is_missing(self) -> bool:
        """Return whether there is no file; perhaps its folder is unmounted."""
        return self._stamp_on_disk() is None

    def has_changed(self) -> bool:
        """Return whether the file was replaced since this object read or wrote it.

        A file that is missing has not changed: its folder may be unmounted.
        """
        stamp = self._stamp_on_disk()
        return stamp is not None and stamp != self._stamp

    def write(self, pins: Pins) -> str | None:
        """Replace the file's content; return why that was impossible, or None if it worked."""
        if self.path is None:
            return "there is no folder to write it to; set one with --models or HUBEL_DATA_DIR"
        text = pins.model_dump_json(indent=1, exclude_defaults=True) + "\n"
        try:
            write_file(self.path, text.encode())
        except OSError as err:
            return (
                f"{self.path} can't be written ({err.strerror}); let this user write there, or set "
                "HUBEL_DATA_DIR"
            )
        self._stamp = self._stamp_on_disk()
        return None

    def _stamp_on_disk(self) -> _Stamp:
        """Return what changes with the file that is read; None if there is none."""
        for path in (self.path, self._in_models):
            if path is not None:
                with suppress(OSError):
                    found = path.stat()
                    return found.st_mtime_ns, found.st_size, found.st_ino
        return None


def _read(path: Path) -> Pins | None:
    """Return the content of a pin file; None if there is no such file.

    Raises:
        PinFileInvalid: it can't be read, or isn't a pin file.
    """
    try:
        return Pins.model_validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise _invalid(path, err.strerror or str(err)) from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _invalid(path, f"{where}: {first['msg']}" if where else first["msg"]) from err


def _invalid(path: Path, reason: str) -> PinFileInvalid:
    return PinFileInvalid(
        f"{path} can't be used ({reason}). It says which versions may serve: repair it, or delete "
        "it to serve the highest version of each model."
    )
