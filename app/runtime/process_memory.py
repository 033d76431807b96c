"""The memory that the process may have, what it uses, and what is left for requests.

    cgroup v1 and v2, with all parents | RLIMIT_AS, RLIMIT_DATA | the machine
       -> `memory_limits`: limit and present use of each
       -> less a reserve, and less what the process uses once its models are loaded
       -> `memory_for_requests`: the smallest of what remains

A reserve is a share of the limit: for what no estimate covers, such as fragments of freed memory,
buffers of sockets, and the page cache that a cgroup counts.
"""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from app.runtime.host import CGROUP_ROOT, OWN_CGROUP, cgroup_folders, read_text

WORKSPACE_BYTES = 24_000_000
"""Memory of one engine thread beside the pixels: ONNX Runtime's buffers for a run of the default
model, and the thread's arena."""

LEAST_BYTES = 64_000_000
"""Memory for requests where the limit leaves less; one ordinary photo takes 10 to 30 MB."""

_LIMIT_SHARE = 0.7
"""The share of a limit of the process or its container that the process plans with."""
_MACHINE_SHARE = 0.5
"""The share of the machine's memory, which other processes use too."""

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class MemoryLimit:
    """One limit on the memory of the process."""

    name: str
    limit_bytes: int
    used_bytes: int
    """The bytes that the process uses now, as this limit counts them."""
    share: float
    """The share of the limit that may be planned with."""

    @property
    def left_bytes(self) -> int:
        """The bytes that may still be used; negative if the limit is exceeded."""
        return int(self.share * self.limit_bytes) - self.used_bytes


def memory_for_requests(limits: list[MemoryLimit], threads: int) -> int:
    """Return the bytes that all requests together may use, from now on.

    Args:
        limits: see `memory_limits`.
        threads: the engine's threads.
    """
    left_bytes = min(limit.left_bytes for limit in limits)
    return max(LEAST_BYTES, left_bytes - threads * WORKSPACE_BYTES)


def memory_limits(
    cgroup_root: Path = CGROUP_ROOT,
    own_cgroup: Path = OWN_CGROUP,
    status: Path = _STATUS,
    *,
    part: float = 1.0,
) -> list[MemoryLimit]:
    """Return every limit that is set on this process, and the machine's memory.

    Args:
        cgroup_root: where cgroups lie.
        own_cgroup: the file that names this process's.
        status: the file with the memory of this process.
        part: this process's part of the limits, which it shares with others like it.
    """
    used = _used(status)
    resident = used.get("VmRSS", 0)
    limits = [MemoryLimit("the machine", _machine_bytes(), resident, _MACHINE_SHARE)]
    limits += [
        MemoryLimit("its cgroup", limit_bytes, resident, _LIMIT_SHARE)
        for limit_bytes in _cgroup_limits(cgroup_root, own_cgroup)
    ]
    for kind, field in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY and field in used:
            limits.append(MemoryLimit("its ulimit", soft, used[field], _LIMIT_SHARE))
    return [replace(limit, limit_bytes=int(part * limit.limit_bytes)) for limit in limits]


def _cgroup_limits(root: Path, own: Path) -> Iterator[int]:
    for version, folder in cgroup_folders("memory", root, own):
        names = ("memory.max", "memory.high") if version == 2 else ("memory.limit_in_bytes",)  # noqa: PLR2004
        for name in names:
            text = read_text(folder / name).strip()
            if text.isdigit():  # v2 writes "max" where there is no limit, v1 a number near 2^63
                yield int(text)


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _used(status: Path) -> dict[str, int]:
    """Return the sizes in /proc/self/status in bytes, by their names there."""
    sizes = {}
    for line in read_text(status).splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value.split()[0]) * 1024
    if not sizes:  # not Linux: the peak stands for the present use
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sizes["VmRSS"] = peak  # bytes on macOS
    return sizes
