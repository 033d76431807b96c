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


def git_commit() -> str | None:
    """Return the commit that is checked out, with `-dirty` where files differ; None without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
