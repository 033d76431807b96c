"""A memory cgroup for one process, v1 or v2; needs a cgroup that this process may write to."""

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from app.runtime.host import CGROUP_ROOT, OWN_CGROUP, cgroup_folders


class NoCgroup(Exception):
    """No memory cgroup can be created here."""


@dataclass(frozen=True)
class MemoryCgroup:
    """A cgroup with a memory limit."""

    folder: Path
    version: int

    def enter(self, *command: str) -> list[str]:
        """Return the command that runs `command` inside."""
        script = f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"'
        return ["sh", "-c", script, "sh", *command]

    @property
    def peak_bytes(self) -> int:
        """The most memory that was charged, page cache included."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return int((self.folder / name).read_text())

    @property
    def kills(self) -> int:
        """The number of processes that the kernel has killed for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        lines = (self.folder / name).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Generator[MemoryCgroup, None, None]:
    """Create a cgroup below this process's own, and remove it when the block ends.

    Raises:
        NoCgroup: this system lets this process create none.
    """
    for version, parent in cgroup_folders("memory", CGROUP_ROOT, OWN_CGROUP):
        limit = "memory.limit_in_bytes" if version == 1 else "memory.max"
        folder = parent / f"hubel-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(limit_bytes))
            with contextlib.suppress(OSError):  # without swap there is no such file
                swap = "memory.memsw.limit_in_bytes" if version == 1 else "memory.swap.max"
                (folder / swap).write_text(str(limit_bytes if version == 1 else 0))
        except OSError:
            folder.rmdir()
            continue
        try:
            yield MemoryCgroup(folder, version)
        finally:
            with contextlib.suppress(OSError):  # a process inside is still ending
                folder.rmdir()
        return
    raise NoCgroup("No memory cgroup can be created here. Run as root, with cgroups writable.")
