"""The memory for requests comes from the tightest limit of the process."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime.process_memory import (
    LEAST_BYTES,
    WORKSPACE_BYTES,
    MemoryLimit,
    memory_for_requests,
    memory_limits,
)

GB = 1_000_000_000
UNLIMITED_V1 = "9223372036854771712"
STATUS = "VmPeak:\t  900000 kB\nVmSize:\t  800000 kB\nVmRSS:\t  200000 kB\nVmData:\t  300000 kB\n"


@pytest.fixture
def limits_of(tmp_path):
    """Return the limits of a process, given its cgroup's line and the files below the root."""

    def limits_of(cgroup: str, files: dict[str, str]) -> list[int]:
        root = tmp_path / "cgroup"
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        (tmp_path / "own").write_text(cgroup + "\n")
        (tmp_path / "status").write_text(STATUS)
        limits = memory_limits(root, tmp_path / "own", tmp_path / "status")
        return sorted(limit.limit_bytes for limit in limits if limit.name == "its cgroup")

    return limits_of


@pytest.mark.parametrize(
    ("cgroup", "files", "tightest"),
    [
        ("0::/a/b", {"a/b/memory.max": "1073741824"}, 1 << 30),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "500000000"}, GB // 2),
        ("0::/a", {"a/memory.max": "800", "a/memory.high": "700"}, 700),
        ("0::/../../x", {"memory.max": "12345"}, 12345),
        ("4:memory:/d/x", {"memory/d/x/memory.limit_in_bytes": "1073741824"}, 1 << 30),
        ("4:memory:/not/mounted", {"memory/memory.limit_in_bytes": "4096"}, 4096),
        (
            "9:name=systemd:/\n4:cpu,memory:/d",
            {"memory/d/memory.limit_in_bytes": UNLIMITED_V1, "memory/memory.limit_in_bytes": "9"},
            9,
        ),
    ],
    ids=["v2", "v2 parent", "v2 high", "v2 namespace", "v1", "v1 namespace", "v1 several"],
)
def test_the_tightest_limit_of_the_cgroup_and_its_parents_is_found(
    limits_of, cgroup, files, tightest
):
    assert limits_of(cgroup, files)[0] == tightest


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [("0::/", {}), ("0::/a", {"a/memory.max": "max"}), ("", {}), ("2:cpu:/x", {})],
    ids=["no files", "max", "no cgroup", "another controller"],
)
def test_without_a_limit_the_machine_alone_counts(limits_of, cgroup, files):
    assert limits_of(cgroup, files) == []
    assert any(limit.name == "the machine" for limit in memory_limits())


def test_requests_get_what_the_reserve_the_process_and_its_threads_leave():
    container = MemoryLimit("its cgroup", GB, 200_000_000, 0.7)
    machine = MemoryLimit("the machine", 16 * GB, 200_000_000, 0.5)
    assert memory_for_requests([machine, container], 3) == 500_000_000 - 3 * WORKSPACE_BYTES


def test_a_limit_that_leaves_nothing_leaves_enough_for_an_ordinary_photo():
    limit = MemoryLimit("its cgroup", GB // 5, 200_000_000, 0.7)
    assert memory_for_requests([limit], 3) == LEAST_BYTES


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("option", ["-v", "-d"], ids=["address space", "data"])
def test_a_ulimit_counts_what_the_process_uses_of_it(option):
    code = (
        "from app.runtime.process_memory import memory_limits\n"
        "limit, = [l for l in memory_limits() if l.name == 'its ulimit']\n"
        "print(limit.limit_bytes, limit.used_bytes)"
    )
    run = subprocess.run(
        ["bash", "-c", f'ulimit {option} 3000000; exec "$0" -c "$1"', sys.executable, code],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    limit_bytes, used_bytes = map(int, run.stdout.split())
    assert limit_bytes == 3_000_000 * 1024
    assert 1_000_000 < used_bytes < limit_bytes
