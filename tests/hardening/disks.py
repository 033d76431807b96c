"""Small and read-only file systems, as far as this process may mount them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

READ_ONLY = """
for folder in "$PWD" / /tmp "$@"; do
  [ "$folder" = -- ] && break
  mount -o remount,bind,ro "$(findmnt --noheadings --output TARGET --target "$folder")" || exit 77
done
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
"""Makes the file systems of some folders read-only for a command, and for no other process."""


def read_only_command(*folders: Path) -> Sequence[str] | None:
    """Return a command that runs its arguments while the file systems of `folders` are read-only.

    Those of the working folder, of / and of the temporary folder are read-only too. The result is
    None if this process may not have mounts of its own.
    """
    if shutil.which("unshare") is None or shutil.which("findmnt") is None:
        return None
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    command = [
        "unshare",
        "--mount",
        *as_root,
        "sh",
        "-c",
        READ_ONLY,
        "sh",
        *map(str, folders),
        "--",
    ]
    works = subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return command if works else None


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a disk of `size` bytes on `folder`, if this process may; yield whether it did."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    is_mounted = (
        shutil.which("mount") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", folder], check=True)


def fill(file: Path) -> None:
    """Write to `file` until its disk is full."""
    with file.open("wb", buffering=0) as opened:
        for size in (65536, 512, 1):
            try:
                while opened.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
