"""The number of usable cores, from cgroup files that the tests write."""

import os

import pytest

from app.runtime.host import available_cores, is_capped

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system has no affinity"
)


@pytest.fixture
def cores(tmp_path, monkeypatch):
    """Returns the cores for an affinity, the text of /proc/self/cgroup and the cgroup's files."""

    def count(affinity: int, own: str | None = None, files: dict[str, str] | None = None) -> int:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)))
        if own is not None:
            (tmp_path / "own").write_text(own)
        for name, text in (files or {}).items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return available_cores(tmp_path / "cgroup", tmp_path / "own")

    return count


def test_without_cgroup_files_affinity_decides(cores):
    assert cores(6) == 6


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": ""}, 8),
        ("0::/\n", {}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "100000 50000"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "max 100000"}, 3),
        ("0::/docker/123\n", {"cpu.max": "300000 100000"}, 3),
    ],
    ids=[
        "quota below affinity",
        "max",
        "quota above affinity",
        "a part of a core counts",
        "less than one",
        "empty file",
        "no files",
        "parent is tighter",
        "parent is free",
        "path not there, as in a container",
    ],
)
def test_cgroup_v2(cores, own, files, expected):
    assert cores(8, own, files) == expected


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (
            "4:cpu,cpuacct:/\n",
            {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
            3,
        ),
        (
            "4:cpu,cpuacct:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        (
            "9:memory:/\n4:cpu:/a/b\n",
            {
                "cpu/a/b/cpu.cfs_quota_us": "-1",
                "cpu/a/b/cpu.cfs_period_us": "100000",
                "cpu/a/cpu.cfs_quota_us": "200000",
                "cpu/a/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        ("4:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, 8),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100000"}, 8),
    ],
    ids=["quota", "none", "parent is tighter", "cpuset is not cpu", "period missing"],
)
def test_cgroup_v1(cores, own, files, expected):
    assert cores(8, own, files) == expected


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", False), ("800000 100000", False), ("750000 100000", True), ("", False)],
)
def test_a_quota_below_the_cores_caps_them(cores, tmp_path, quota, expected):
    cores(8, "0::/\n", {"cpu.max": quota})
    assert is_capped(tmp_path / "cgroup", tmp_path / "own") is expected
