"""Fixtures of the command-line tests: running a command, its models and photos, its errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main


@pytest.fixture(autouse=True)
def default_environment(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("HUBEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def hubel(monkeypatch, tmp_path):
    """Run a command in this process, without the built-in bundle."""
    (tmp_path / "built-in").mkdir()
    monkeypatch.setattr("app.runtime.discovery.BUILT_IN_MODELS", tmp_path / "built-in")

    def run(*arguments):
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return run


@pytest.fixture
def process():
    """Run a command in its own process, as a user does."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *map(str, arguments)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def models(make_bundle):
    return make_bundle().folder.parent


@pytest.fixture
def photos(tmp_path, photo):
    """A folder with photos of three colours, two of them in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(photo("red"))
    (folder / "more/b.jpg").write_bytes(photo("green"))
    (folder / "more/c.png").write_bytes(photo("blue"))
    return folder


@pytest.fixture
def assert_error():
    """Assert that a failure is one line on standard error and no traceback."""

    def check(result, code, words):
        exit_code = getattr(result, "exit_code", getattr(result, "returncode", None))
        assert exit_code == code, result.stderr
        assert words in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith(("Error: ", "Usage: "))
        assert len(result.stderr.strip().splitlines()) <= (4 if "Usage:" in result.stderr else 1)

    return check
