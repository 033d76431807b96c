"""The command `hubel` itself: help, version, and no heavy imports."""

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from app.cli import main

COMMANDS = ["serve", "health", "classify", "evaluate", "train", "import", "check"]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_lists_every_command(hubel, command):
    result = hubel(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    if command is None:
        assert all(f"\n  {name} " in result.stdout for name in COMMANDS)


def test_the_version_is_printed(hubel):
    from app import __version__

    assert hubel("--version").stdout == f"hubel, version {__version__}\n"


def test_an_unknown_command_exits_with_2(hubel, assert_error):
    assert_error(hubel("clasify"), 2, "No such command 'clasify'")


def _options(command, context):
    """Yield the path and each option of a command and of those below it."""
    yield from ((context.command_path, option) for option in command.params)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from _options(below, click.Context(below, context, name))


def test_every_option_with_a_number_rejects_nan_and_infinity():
    context = click.Context(main, info_name="hubel")
    of_numbers = [
        (path, option)
        for path, option in _options(main, context)
        if isinstance(option.type, click.types.FloatParamType)
    ]
    assert len(of_numbers) >= 6
    for value in ("nan", "inf"):
        takes = [
            (path, option.opts) for path, option in of_numbers if _takes(option, value, context)
        ]
        assert not takes, value


def _takes(option, value, context):
    try:
        option.type.convert(value, option, context)
    except click.BadParameter:
        return False
    return True


@pytest.mark.parametrize("value", ["nan", "NaN", "-nan"])
def test_a_precision_that_is_no_number_is_refused(hubel, assert_error, tmp_path, value):
    arguments = ("--output", tmp_path / "out", "--accept-precision", value)
    assert_error(hubel("train", tmp_path, *arguments), 2, f"'{value}' is not a finite number")


def test_help_loads_no_heavy_module():
    code = (
        "import sys; sys.argv = ['hubel', '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit: print({'onnxruntime', 'fastapi', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "set()"


def test_hubel_is_installed_as_a_command():
    command = Path(sys.executable).with_name("hubel")
    assert shutil.which(command), "pip install --editable . has not been run"
