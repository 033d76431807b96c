"""Where a bundle may be written to, and the hidden folders beside it that it is built in.

A run holds its folders locked while it lives, so what a killed run left behind is told from what
another run is building in, and cleared away by the next run for the same output.
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

_KIND = ".building"


def require_free(output: Path, *read: Path) -> None:
    """Only a bundle is ever replaced.

    Raises:
        DataUnusable: something else is at `output`, or it lies in a folder that is read.
    """
    taken = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if taken and not (output / bundles.MANIFEST).is_file():
        raise DataUnusable(
            f"{output} is there already and is no bundle. Name a new folder for --output."
        )
    for folder in read:
        inside, outside = output.resolve(), folder.resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise DataUnusable(
                f"{output} and {folder} lie in one another. Name an --output outside the photos."
            )


@contextmanager
def folder_beside(output: Path) -> Iterator[Path]:
    """A folder to build in, on the file system of `output`; removed if it isn't moved away.

    What killed runs for the same `output` left is removed first.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _held(output.parent):  # so that no folder is seen between its making and its lock
            _clear(output)
            folder = Path(tempfile.mkdtemp(_KIND, f".{output.name}.", output.parent))
            stack.enter_context(_held(folder))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        yield folder


def _clear(output: Path) -> None:
    for left in output.parent.glob(f".{glob.escape(output.name)}.*{_KIND}"):
        with _held(left, wait=False) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _held(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock `folder` until the end, or until this process ends, however it does.

    What is given says whether it could be: not where someone else holds it and `wait` is false,
    nor on a file system that knows no locks.
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
