"""What the commands share: errors of one sentence, settings, an engine, a bar.

Heavy imports stand inside the functions: `hubel --help` needs none of them.
"""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from app import vision
    from app.runtime.engine import Engine
    from app.runtime.model import Model
    from app.settings import Settings

T = TypeVar("T")

_BULK_DEADLINE_S = 24 * 3600.0
"""Bulk work is waited for."""


class Refused(click.ClickException):
    """A failed check, or photos that can't be used."""

    exit_code = 1


class Wrong(click.ClickException):
    """Wrong usage or input."""

    exit_code = 2


@contextmanager
def expected_errors() -> Generator[None, None, None]:
    """Expected errors leave as one sentence: 1 for a bundle that fails, 2 for wrong input."""
    from app.errors import BundleError, HubelError

    try:
        yield
    except BundleError as err:
        raise Refused(str(err)) from err
    except BrokenPipeError:
        raise  # whoever read our output has had enough, as `head` has: click ends quietly
    except (HubelError, OSError) as err:
        raise Wrong(str(err)) from err


@contextmanager
def train_extra(what: str) -> Generator[None, None, None]:
    """Around imports of `training`: what they lack is said, with how to get it."""
    try:
        yield
    except ImportError as err:
        raise Wrong(
            f"{what} needs {err.name}. Run make setup, or install the `train` extra."
        ) from err


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
        raise Wrong(f"{where}{told}.") from err


def bulk_engine(model: "Model") -> "Engine":
    """An engine that keeps all cores and the model's device busy, for work that is waited for."""
    from app.runtime.batches import threads_for
    from app.runtime.cores import available_cores, is_capped
    from app.runtime.engine import Engine

    threads = threads_for(model.session.device, available_cores(), capped=is_capped())
    return Engine(threads=threads, deadline_s=_BULK_DEADLINE_S)


def photo_limits(settings: "Settings") -> "vision.Limits":
    """What one photo may cost."""
    from app import vision

    return vision.Limits(settings.max_image_bytes, settings.max_pixels)


def with_bar(items: Iterable[T], length: int, *, beside_rows: bool = False) -> Iterator[T]:
    """Hand `items` on, with a bar on standard error where that is a terminal.

    None where rows go to the same terminal meanwhile (`beside_rows`).
    """
    hidden = not sys.stderr.isatty() or (beside_rows and sys.stdout.isatty())
    with click.progressbar(
        items, length, label="photos", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar


def checked_name(name: str | None, output: Path) -> str:
    """The name that was given, or the output folder's."""
    from pydantic import TypeAdapter, ValidationError

    from app.bundle import Name

    chosen = output.resolve().name if name is None else name
    try:
        return TypeAdapter[str](Name).validate_python(chosen)
    except ValidationError as err:
        raise Wrong(
            f"{chosen!r} can't be a model's name. "
            "Give --name, in lower-case letters, digits, '.', '_' and '-'."
        ) from err
