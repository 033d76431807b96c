"""Record the versions of the libraries and the commit of this repository."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import onnxruntime

from app import __version__

_LIBRARIES = ("onnx", "numpy", "pillow")


def versions(*trained_by: str) -> dict[str, str]:
    """Return the versions of Hubel, Python and the libraries that the result depends on.

    `trained_by` names the libraries of this recipe.
    """
    return {
        "hubel": __version__,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,  # its distribution has other names, as for GPUs
        **{name: version(name) for name in (*trained_by, *_LIBRARIES)},
    }


def git_commit(folder: Path = Path(__file__).parent) -> str | None:
    """Return the commit checked out in `folder`, `-dirty` where files differ; None without git.

    `git describe --dirty` is not used: it rewrites the repository's index.
    """
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(
            [*command, "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return _commit(done.stdout)


def _commit(status: str) -> str | None:
    """Read the commit from `git status`: headers after '#', then one line for each changed file."""
    lines = status.splitlines()
    headers = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit = headers.get("branch.oid")
    if commit is None or commit == "(initial)":
        return None
    return commit if all(line.startswith("#") for line in lines) else f"{commit}-dirty"
