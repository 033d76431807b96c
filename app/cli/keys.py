"""`hubel keys`: add, limit, list and revoke the named keys of a service."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import WrongUsage, expected_errors
from app.cli.options import read_settings

if TYPE_CHECKING:
    from app.keys_file import KeyLimits, NamedKeys, Scope

file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keys file.  [default: HUBEL_KEYS_FILE]",
)
_LIMITS = (
    ("--requests-per-second", "Requests that the key may send in any second."),
    (
        "--images-per-minute",
        "Images that the key may send in any minute; each crop of a photo is one.",
    ),
    ("--concurrent-requests", "Requests that the key may have at once."),
)


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a key's limits to `command`."""
    for option, text in reversed(_LIMITS):
        help = f"{text}  [default: unlimited]"
        command = click.option(option, type=click.IntRange(1), help=help)(command)
    return command


@click.group()
def keys() -> None:
    """Add, limit, list and revoke the named keys of a service.

    A service with HUBEL_KEYS_FILE follows each change within about a second.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["classify", "label", "admin"]),
    default="classify",
    show_default=True,
    help="What the key allows; each scope includes those before it.",
)
@limit_options
@file_option
def add(name: str, scope: "Scope", file: Path | None, **limits: int | None) -> None:
    """Add a key NAME, and print it. It can't be shown again."""
    from app.keys_file import KeyLimits, NamedKeys, change, create

    with expected_errors():
        secret, added = create(name, scope, KeyLimits(**limits).or_none)

        def with_added(before: "NamedKeys") -> "NamedKeys":
            if name in _names(before):
                raise WrongUsage(
                    f"There is a key {name} already. Choose another name, or revoke it: "
                    f"hubel keys revoke {name}"
                )
            return NamedKeys(keys=(*before.keys, added))

        change(_keys_file(file), with_added)
    click.echo(secret)


@keys.command()
@click.argument("name")
@limit_options
@file_option
def limit(name: str, file: Path | None, **limits: int | None) -> None:
    """Replace the limits of the key NAME. A limit that isn't given is removed."""
    from app.keys_file import KeyLimits, change, read

    new = KeyLimits(**limits).or_none

    def with_limits(before: "NamedKeys") -> "NamedKeys":
        _require(name, before)
        return before.model_copy(
            update={
                "keys": tuple(
                    key.model_copy(update={"limits": new}) if key.name == name else key
                    for key in before.keys
                )
            }
        )

    with expected_errors():
        read(_keys_file(file))
        change(_keys_file(file), with_limits)
    click.echo(f"{name}: {_text_of(new)}")


@keys.command("list")
@file_option
def list_(file: Path | None) -> None:
    """List the keys: name, scope, when each was added, and its limits."""
    from app.keys_file import read

    with expected_errors():
        found = read(_keys_file(file))
    width = max((len(key.name) for key in found.keys), default=0)
    for key in found.keys:
        limits = _text_of(key.limits)
        click.echo(f"{key.name:{width}}  {key.scope:8}  {key.created}  {limits}")


@keys.command()
@click.argument("name")
@file_option
def revoke(name: str, file: Path | None) -> None:
    """Revoke the key NAME."""
    from app.keys_file import NamedKeys, change, read

    def without(before: "NamedKeys") -> "NamedKeys":
        _require(name, before)
        return NamedKeys(keys=tuple(key for key in before.keys if key.name != name))

    with expected_errors():
        read(_keys_file(file))
        change(_keys_file(file), without)
    click.echo(f"revoked {name}")


def _require(name: str, found: "NamedKeys") -> None:
    """Check that there is a key `name`.

    Raises:
        WrongUsage: there is none.
    """
    if name not in _names(found):
        known = f"The keys are {', '.join(_names(found))}." if found.keys else "It has none."
        raise WrongUsage(f"There is no key {name} in the keys file. {known}")


def _text_of(limits: "KeyLimits | None") -> str:
    """Return the limits of a key in words."""
    if limits is None:
        return "unlimited"
    parts = (
        (limits.requests_per_second, "requests/s"),
        (limits.images_per_minute, "images/min"),
        (limits.concurrent_requests, "concurrent requests"),
    )
    return ", ".join(f"{limit} {unit}" for limit, unit in parts if limit is not None)


def _names(found: "NamedKeys") -> Sequence[str]:
    return [key.name for key in found.keys]


def _keys_file(file: Path | None) -> Path:
    """Return the keys file of the option, or of the settings.

    Raises:
        WrongUsage: neither names one.
    """
    selected = file or read_settings().keys_file
    if selected is None:
        raise WrongUsage("No keys file is named. Give --file, or set HUBEL_KEYS_FILE.")
    return selected
