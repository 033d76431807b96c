"""The machine below the process: the cores it may use, and how the C library treats freed memory.

Cores: `os.cpu_count()` counts the machine's cores, which in a container with a limit starts too
many threads (onnxruntime #29510). Here affinity and the cgroup's quota count.

Memory: glibc keeps what ONNX Runtime frees in the arena of the thread that loaded the model. After
35 reloads of the default model a process had 148 MB without `release_memory`, and 93 to 108 MB
with it. A training process needs the opposite.
"""

import ctypes
import math
import os
from functools import cache
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def available_cores(cgroup_root: Path = _CGROUP_ROOT, own_cgroup: Path = _OWN_CGROUP) -> int:
    """The number of cores that this process may keep busy, at least 1."""
    return max(1, math.ceil(min(_cores(), _quota(cgroup_root, own_cgroup))))


def is_capped(cgroup_root: Path = _CGROUP_ROOT, own_cgroup: Path = _OWN_CGROUP) -> bool:
    """Whether it has fewer cores than it sees.

    Who keeps more than the quota busy is stopped, all threads, for the rest of a tenth of a second.
    """
    return _quota(cgroup_root, own_cgroup) < _cores()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path, own: Path) -> float:
    """The tightest CPU quota of this process's cgroup and those above it, in cores."""
    quotas = [math.inf]
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # v2
            quotas += [_v2(folder) for folder in _up(root, path)]
        elif "cpu" in controllers.split(","):  # v1
            quotas += [_v1(folder) for folder in _up(root / "cpu", path)]
    return min(quotas)


def _up(root: Path, path: str) -> list[Path]:
    """`root`/`path` and its parents down to `root`; in a container `path` may not exist there."""
    below = root / path.lstrip("/")
    return [below, *(parent for parent in below.parents if parent.is_relative_to(root))]


def _v2(folder: Path) -> float:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else math.inf


def _v1(folder: Path) -> float:
    quota = _read(folder / "cpu.cfs_quota_us").strip()
    period = _read(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else math.inf


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
"""From malloc.h."""
_LARGE_BYTES = 8 << 20
_KEPT_BYTES = 4 * _LARGE_BYTES
"""Free at the end of an arena, for the next photo."""
_CONSOLIDATED_BYTES = 1 << 17
"""A block of this size makes `free` look at the end of its arena."""
_INT_MAX = (1 << 31) - 1


@cache
def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
    except OSError:
        return None
    if not hasattr(libc, "malloc_trim"):
        return None
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    return libc


def return_large_blocks() -> None:
    """Have blocks of a big picture returned as soon as they are freed; for a process that serves.

    glibc raises its own threshold to the largest block that was ever freed, and from then on keeps
    such blocks, in each thread's arena: after a few pictures of 50 million pixels a process had
    1,046 MB at its peak. What a photo of ordinary size needs stays in the arenas, which is faster.
    """
    if libc := _libc():
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def keep_large_blocks() -> None:
    """Have freed blocks of any size used again; for a process that trains.

    Each step allocates the same hundreds of megabytes. glibc maps blocks of that size anew each
    time, and the system has to clear every page of them, a fifth of a step (DECISIONS.md).
    """
    if libc := _libc():
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
        libc.mallopt(_M_TOP_PAD, 32 * _LARGE_BYTES)


def release_memory() -> None:
    """Give freed memory back where the C library can; for the thread of a server that freed much.

    `malloc_trim` leaves alone what lies at the end of a thread's arena, and `free` gives that back
    where it is over the threshold. It takes a few milliseconds.
    """
    if libc := _libc():
        libc.malloc_trim(0)
        libc.mallopt(_M_TRIM_THRESHOLD, 0)
        libc.free(libc.malloc(_CONSOLIDATED_BYTES))
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
