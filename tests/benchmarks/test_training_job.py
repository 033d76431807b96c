"""The benchmarks of jobs: the table of training_job.py, and the checks of loop_kills.py."""

import json

import pytest

from benchmarks import job_memory, training_job
from benchmarks.hardening import loop_kills
from benchmarks.training_job import Measured, Period


def test_the_ratios_are_those_of_each_round():
    measured = Measured(
        alone=[Period(100, 90), Period(100, 110)],
        job=[Period(85, 150), Period(87, 140)],
        throughput_ratios=[0.85, 0.87],
        p99_ratios=[1.5, 1.4],
        job_s=[30, 32],
    )
    lines = training_job.table(measured).splitlines()
    assert lines[2:5] == [
        "| alone | 100.0 | 100 ms |",
        "| job | 86.0 | 145 ms |",
        "| ratio | 0.86 (0.85, 0.87) | 1.45 (1.50, 1.40) |",
    ]


def test_half_bundles_and_versions_that_serve_too_early_are_found(tmp_path, make_bundle):
    models = tmp_path / "models" / loop_kills._MODEL
    for version in (1, 2):
        make_bundle(folder=models / str(version), name=loop_kills._MODEL, version=version)
    (tmp_path / "data" / "jobs" / "one").mkdir(parents=True)
    job = {"state": "done", "result": {"version": 1, "outcome": "promoted"}}
    (tmp_path / "data" / "jobs" / "one" / "job.json").write_text(json.dumps(job))
    loop_kills.check_after_kill(tmp_path)  # 2 was promoted just before its record was written
    make_bundle(folder=models / "3", name=loop_kills._MODEL, version=3)
    with pytest.raises(loop_kills.Failed, match="would serve"):
        loop_kills.check_after_kill(tmp_path)
    pins = {"schema_version": 1, "models": {loop_kills._MODEL: {"held": [3]}}}
    (tmp_path / "models" / "pins.json").write_text(json.dumps(pins))
    loop_kills.check_after_kill(tmp_path)
    (models / "3" / "model.onnx").write_bytes(b"half")
    with pytest.raises(loop_kills.Failed, match="half a bundle"):
        loop_kills.check_after_kill(tmp_path)


def test_a_moment_is_a_time_or_a_file_that_changes(tmp_path):
    loop_kills.wait_for_moment(0.01, tmp_path, lambda: False)
    loop_kills.wait_for_moment("models/pins.json", tmp_path, lambda: True)
    assert loop_kills.processes_of(tmp_path) == []


def test_the_memory_of_a_process_is_read_from_its_status():
    status = "VmHWM:\t  1000 kB\nVmData:\t  2000 kB\n"
    assert job_memory.peaks_mb(status) == (2.048, 1.024)
