"""How many cores this process may use: its affinity, and its cgroup's quota.

`os.cpu_count()` tells the machine's cores, which in a container with a limit starts too many
threads (onnxruntime #29510).
"""

import math
import os
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
