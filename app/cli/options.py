"""Option types, settings and an engine for bulk work, shared by several commands.

Heavy imports are inside the functions, so that `hubel --help` loads none of them.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import WrongUsage

if TYPE_CHECKING:
    from app import vision
    from app.runtime.engine import Engine
    from app.runtime.loaded_model import Model
    from app.settings import Settings


class _FolderOrS3(click.Path):
    """A folder that exists, or an address on S3."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the address as it is, or the folder."""
        return value if str(value).startswith("s3:") else super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A number within bounds. nan is none: no comparison with a bound would reject it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


MODELS = _FolderOrS3(exists=True, file_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PATH = click.Path(exists=True, path_type=Path)
DEVICE = click.Choice(["auto", "cpu", "cuda"])
PRECISION = click.Choice(["fp32", "int8"])

# Of every command that makes a bundle.
output_option = click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the bundle. An existing bundle is replaced.",
)
skipped_option = click.option(
    "--skipped",
    "skipped_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that lists what is skipped: it is no photo, or is read already. Unset: no list.",
)
labels_from_option = click.option(
    "--labels-from",
    type=click.Choice(["labels.csv", "roboflow", "columns", "filename"]),
    help="Source of the labels: labels.csv (file,labels), roboflow (_annotations.csv), columns (a "
    "table with a column of 0 and 1 for each label), or filename (cat_12.jpg).  [default: "
    "labels.csv if there is one, else the folders]",
)
accept_precision_option = click.option(
    "--accept-precision",
    type=FiniteRange(0.5, 1, max_open=True),
    help="Share of the accepted predictions that must be right, such as 0.99, at 95 % confidence. "
    "It sets the probability from which a prediction is accepted.  [default: nothing is promised; "
    "accepted from two thirds]",
)
accept_per_class_option = click.option(
    "--accept-per-class/--no-accept-per-class",
    default=None,
    help="Promise --accept-precision for each class with photos enough, or only for all classes "
    "together.  [default: for each class with plenty of photos]",
)
force_option = click.option(
    "--force",
    is_flag=True,
    help="Replace a bundle in a folder that holds other files too; these are kept.",
)
name_option = click.option(
    "--name",
    help="Name of the model.  [default: name of the output folder; of the folder above it where "
    "that name is a number]",
)
version_option = click.option(
    "--version",
    type=click.IntRange(1),
    help="Version of the model.  [default: name of the output folder where it is a number, else 1]",
)

_BULK_DEADLINE_S = 24 * 3600.0
"""The deadline of bulk work: no client waits for it."""


def read_settings(**options: Any) -> "Settings":
    """Return the settings from the environment, overridden by `options` that are not None.

    Raises:
        WrongUsage: a value is not allowed.
    """
    from pydantic import ValidationError

    from app.settings import Settings

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as err:
        first = err.errors()[0]
        message = str(first.get("ctx", {}).get("error", first["msg"])).removesuffix(".")
        where = "".join(f"HUBEL_{str(part).upper()}={first['input']}: " for part in first["loc"])
        raise WrongUsage(f"{where}{message}.") from err


def bulk_engine(model: "Model") -> "Engine":
    """Return an engine for bulk work: it keeps all cores and the model's device busy."""
    from app.runtime.batching import threads_for
    from app.runtime.engine import Engine
    from app.runtime.host import available_cores, is_capped

    threads = threads_for(model.session.device, available_cores(), capped=is_capped())
    return Engine(threads=threads, deadline_s=_BULK_DEADLINE_S)


def photo_limits(settings: "Settings") -> "vision.Limits":
    """Return the limits on the size of one photo."""
    from app import vision

    return vision.Limits(settings.max_image_bytes, settings.max_pixels, settings.max_side)


def checked_name(name: str | None, output: Path) -> str:
    """Return `name`; if it is None, the output folder's name, or that of the folder above.

    Raises:
        WrongUsage: a model can't have this name.
    """
    from pydantic import TypeAdapter, ValidationError

    from app.bundle import Name

    folder = output.resolve()
    selected = (folder.parent if is_version(folder) else folder).name if name is None else name
    try:
        return TypeAdapter[str](Name).validate_python(selected)
    except ValidationError as err:
        raise WrongUsage(
            f"{selected!r} can't be a model's name. "
            "Give --name, in lower-case letters, digits, '.', '_' and '-'."
        ) from err


def checked_version(version: int | None, output: Path) -> int:
    """Return `version`; if it is None, the output folder's name where it is a number, else 1."""
    folder = output.resolve()
    return version or (int(folder.name) if is_version(folder) else 1)


def is_version(folder: Path) -> bool:
    """Return whether a folder is named like a version: a positive integer."""
    return folder.name.isascii() and folder.name.isdigit() and int(folder.name) > 0
