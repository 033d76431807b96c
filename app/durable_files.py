"""Files that are whole or not there, also after a power cut: written beside, synced, renamed."""

import os
from contextlib import suppress
from pathlib import Path


def write_file(
    path: Path, data: bytes, *, beside: Path | None = None, mode: int | None = None
) -> None:
    """Write a file beside its place, then rename it; once this returns it is on the disk.

    Args:
        path: its place, whose folder exists.
        data: its content.
        beside: the file that is renamed; None: one with the name of this process in its name.
        mode: its permissions; None: those of a new file.

    Raises:
        OSError: it can't be written; what was there before stays, and nothing else is left.
    """
    beside = beside or path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        write_whole(beside, data, mode=mode)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    sync(path.parent)


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file onto the disk; nothing is left of it if that fails.

    Raises:
        OSError: it can't be written.
    """
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
