"""`hubel keys`: add, list and revoke the named keys of a service."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import WrongUsage, expected_errors
from app.cli.options import read_settings

if TYPE_CHECKING:
    from app.keys_file import NamedKeys, Scope

file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keys file.  [default: HUBEL_KEYS_FILE]",
)


@click.group()
def keys() -> None:
    """Add, list and revoke the named keys of a service.

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
@file_option
def add(name: str, scope: "Scope", file: Path | None) -> None:
    """Add a key NAME, and print it. It can't be shown again."""
    from app.keys_file import NamedKeys, change, create

    with expected_errors():
        secret, added = create(name, scope)

        def with_added(before: "NamedKeys") -> "NamedKeys":
            if name in _names(before):
                raise WrongUsage(
                    f"There is a key {name} already. Choose another name, or revoke it: "
                    f"hubel keys revoke {name}"
                )
            return NamedKeys(keys=(*before.keys, added))

        change(_keys_file(file), with_added)
    click.echo(secret)


@keys.command("list")
@file_option
def list_(file: Path | None) -> None:
    """List the keys: name, scope and when each was added."""
    from app.keys_file import read

    with expected_errors():
        found = read(_keys_file(file))
    width = max((len(key.name) for key in found.keys), default=0)
    for key in found.keys:
        click.echo(f"{key.name:{width}}  {key.scope:8}  {key.created}")


@keys.command()
@click.argument("name")
@file_option
def revoke(name: str, file: Path | None) -> None:
    """Revoke the key NAME."""
    from app.keys_file import NamedKeys, change, read

    def without(before: "NamedKeys") -> "NamedKeys":
        if name not in _names(before):
            known = f"The keys are {', '.join(_names(before))}." if before.keys else "It has none."
            raise WrongUsage(f"There is no key {name} in the keys file. {known}")
        return NamedKeys(keys=tuple(key for key in before.keys if key.name != name))

    with expected_errors():
        read(_keys_file(file))
        change(_keys_file(file), without)
    click.echo(f"revoked {name}")


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
