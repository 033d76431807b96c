"""What several commands share: option types, settings, an engine for bulk work.

Heavy imports stand inside the functions: `hubel --help` needs none of them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import WrongUsage

if TYPE_CHECKING:
    from app import vision
    from app.runtime.engine import Engine
    from app.runtime.loaded_model import Model
    from app.settings import Settings

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PATH = click.Path(exists=True, path_type=Path)
DEVICE = click.Choice(["auto", "cpu", "cuda"])
PRECISION = click.Choice(["fp32", "int8"])

_BULK_DEADLINE_S = 24 * 3600.0
"""Bulk work has no client that gives up."""


def read_settings(**given: Any) -> "Settings":
    """The settings of the environment, and over them the options that were given."""
    from pydantic import ValidationError

    from app.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as err:
        first = err.errors()[0]
        told = str(first.get("ctx", {}).get("error", first["msg"])).removesuffix(".")
        where = "".join(f"HUBEL_{str(part).upper()}={first['input']}: " for part in first["loc"])
        raise WrongUsage(f"{where}{told}.") from err


def bulk_engine(model: "Model") -> "Engine":
    """An engine that keeps all cores and the model's device busy, for work that is waited for."""
    from app.runtime.batching import threads_for
    from app.runtime.engine import Engine
    from app.runtime.host import available_cores, is_capped

    threads = threads_for(model.session.device, available_cores(), capped=is_capped())
    return Engine(threads=threads, deadline_s=_BULK_DEADLINE_S)


def photo_limits(settings: "Settings") -> "vision.Limits":
    """What one photo may cost."""
    from app import vision

    return vision.Limits(settings.max_image_bytes, settings.max_pixels)


def checked_name(name: str | None, output: Path) -> str:
    """The name that was given, or the output folder's."""
    from pydantic import TypeAdapter, ValidationError

    from app.bundle import Name

    chosen = output.resolve().name if name is None else name
    try:
        return TypeAdapter[str](Name).validate_python(chosen)
    except ValidationError as err:
        raise WrongUsage(
            f"{chosen!r} can't be a model's name. "
            "Give --name, in lower-case letters, digits, '.', '_' and '-'."
        ) from err
