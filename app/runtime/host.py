"""The resources of the process: the cores it may use, and the C library's free memory.

Cores: `os.cpu_count()` counts the machine's cores. In a container with a CPU limit, as many threads
would be too many (onnxruntime #29510), so `available_cores` respects affinity and the cgroup's
quota.

Memory: glibc keeps what ONNX Runtime frees in the arena of the thread that loaded the model. After
35 reloads of the default model a process had 148 MB without `release_memory`, and 93 to 108 MB
with it. A training process needs the opposite: `keep_large_blocks`.
"""

import ctypes
import math
import os
from functools import cache
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
"""Options of mallopt, from malloc.h."""
_LARGE_BYTES = 8 << 20
_KEPT_BYTES = 4 * _LARGE_BYTES
"""Free memory kept at the end of each arena, for the next photo."""
_CONSOLIDATED_BYTES = 1 << 17
"""`free` trims the end of an arena only after it freed a block of at least this size."""
_INT_MAX = (1 << 31) - 1


def available_cores(cgroup_root: Path = CGROUP_ROOT, own_cgroup: Path = OWN_CGROUP) -> int:
    """Return the number of cores that this process may keep busy, at least 1."""
    return max(1, math.ceil(min(_visible_cores(), _quota(cgroup_root, own_cgroup))))


def is_capped(cgroup_root: Path = CGROUP_ROOT, own_cgroup: Path = OWN_CGROUP) -> bool:
    """Return whether a quota allows the process fewer cores than it sees.

    If its threads use up the quota, the kernel stops all of them for the rest of a tenth of a
    second.
    """
    return _quota(cgroup_root, own_cgroup) < _visible_cores()


def _visible_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path, own: Path) -> float:
    """Return the tightest CPU quota of this process's cgroup and its parents, in cores."""
    quotas = [math.inf]
    for version, folder in cgroup_folders("cpu", root, own):
        quotas.append(_quota_v1(folder) if version == 1 else _quota_v2(folder))
    return min(quotas)


def cgroup_folders(controller: str, root: Path, own: Path) -> list[tuple[int, Path]]:
    """Return the folders of this process's cgroup and of its parents, each with 1 or 2: v1 or v2.

    In a container the folder that /proc names may not exist: the container's own is then `root`.
    """
    folders: list[tuple[int, Path]] = []
    for line in read_text(own).splitlines():
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if controllers == "":
            folders += [(2, folder) for folder in _with_parents(root, path)]
        elif controller in controllers.split(","):
            folders += [(1, folder) for folder in _with_parents(root / controller, path)]
    return folders


def _with_parents(root: Path, path: str) -> list[Path]:
    """Return `root`/`path` and its parents up to `root`."""
    cgroup = root / path.lstrip("/")
    return [cgroup, *(parent for parent in cgroup.parents if parent.is_relative_to(root))]


def _quota_v2(folder: Path) -> float:
    quota, _, period = read_text(folder / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else math.inf


def _quota_v1(folder: Path) -> float:
    quota = read_text(folder / "cpu.cfs_quota_us").strip()
    period = read_text(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else math.inf


def read_text(file: Path) -> str:
    """Return the content of a file of the kernel; empty if there is none."""
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""


def return_large_blocks() -> None:
    """Return the blocks of a large picture to the system once they are freed; for a server.

    glibc raises its threshold to the largest block that was ever freed, and then keeps blocks of
    that size in each thread's arena. After a few pictures of 50 million pixels a process had
    1,046 MB at its peak. Blocks of ordinary photos stay in the arenas, which is faster.
    """
    if libc := _libc():
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def keep_large_blocks() -> None:
    """Reuse freed blocks of any size; for a process that trains.

    Each step allocates the same hundreds of megabytes. By default glibc maps such blocks anew each
    time and the system clears every page, which takes a fifth of a step (docs/experiments.md,
    2026-11-25).
    """
    if libc := _libc():
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
        libc.mallopt(_M_TOP_PAD, 32 * _LARGE_BYTES)


def release_memory() -> None:
    """Return freed memory to the system; for a server's thread that has just freed much.

    `malloc_trim` does not touch the end of a thread's arena. `free` trims that if it is over the
    threshold. Both together take a few milliseconds. Without glibc nothing happens.
    """
    if libc := _libc():
        libc.malloc_trim(0)
        libc.mallopt(_M_TRIM_THRESHOLD, 0)
        libc.free(libc.malloc(_CONSOLIDATED_BYTES))
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


@cache
def _libc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc."""
    try:
        libc = ctypes.CDLL(None)
    except OSError:
        return None
    if not hasattr(libc, "malloc_trim"):
        return None
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    return libc
