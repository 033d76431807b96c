"""Build a bundle in a hidden folder next to its output, and replace nothing but a bundle.

A running process holds a lock on its folders. The next run for the same output removes the unlocked
folders, which a killed run left behind, and keeps those of a run that is still building.
"""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app import bundle as bundles
from training.errors import DataUnusable

_SUFFIX = ".building"


def require_free(output: Path, *inputs: Path) -> None:
    """Check that the output is free, empty or a bundle: nothing else is ever replaced.

    Raises:
        DataUnusable: something else is at `output`, or it overlaps with one of `inputs`.
    """
    taken = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if taken and not (output / bundles.MANIFEST).is_file():
        raise DataUnusable(f"{output} exists and is not a bundle. Name a new folder for --output.")
    for folder in inputs:
        target, source = output.resolve(), folder.resolve()
        if target.is_relative_to(source) or source.is_relative_to(target):
            raise DataUnusable(
                f"{output} and {folder} must not contain each other. "
                "Name an --output outside the photos."
            )


@contextmanager
def folder_beside(output: Path) -> Iterator[Path]:
    """Create a folder to build in, on the file system of `output`; remove it unless it was moved.

    Folders of killed runs for the same `output` are removed first.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(output.parent):  # or another run could remove the folder before it is locked
            _clear(output)
            folder = Path(tempfile.mkdtemp(_SUFFIX, f".{output.name}.", output.parent))
            stack.enter_context(_locked(folder))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        yield folder


def _clear(output: Path) -> None:
    for leftover in output.parent.glob(f".{glob.escape(output.name)}.*{_SUFFIX}"):
        with _locked(leftover, wait=False) as is_ours:
            if is_ours:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock `folder` until the end of the block or of this process, and yield whether it is locked.

    False is yielded if another process holds the lock and `wait` is false, or if the file system
    has no locks.
    """
    with ExitStack() as stack:
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True
