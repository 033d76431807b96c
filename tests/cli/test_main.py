"""The command `hubel` itself: help, version, and no heavy imports."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
