"""The process of a job: started by Hubel's own entry point, with limits, and never an orphan."""

import json
import os
import resource
import subprocess
import sys
import time

from app.jobs import own_limits
from app.jobs.job import TrainRequest
from app.jobs.plan import Plan
from app.jobs.process import JobProcess


def begin(tmp_path, **plan):
    (tmp_path / "work").mkdir(parents=True)
    train = TrainRequest(dataset="none", model="pets")
    text = Plan(train=train, data_dir=tmp_path, version=1, **plan).model_dump_json()
    (tmp_path / "work" / "plan.json").write_text(text)
    return JobProcess(tmp_path, tmp_path / "log.txt", tmp_path, 1)


def test_an_expected_error_is_a_line(tmp_path):
    process = begin(tmp_path)
    lines = [json.loads(line) for line in process.lines()]
    assert process.wait() == 2
    assert lines[0] == {"type": "step", "step": "collecting photos"}
    assert lines[-1]["type"] == "problem"
    assert (tmp_path / "log.txt").read_text() == ""


def test_a_killed_process_ends(tmp_path):
    process = begin(tmp_path)
    process.kill()
    assert list(process.lines()) == []
    assert process.wait() == -9


def test_the_process_ends_with_the_one_that_started_it(tmp_path):
    begin_and_die = (
        "import os, sys; from pathlib import Path; from tests.jobs.test_process import begin; "
        "process = begin(Path(sys.argv[1])); print(process.pid, flush=True); os._exit(0)"
    )
    command = [sys.executable, "-c", begin_and_die, str(tmp_path / "job")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    until = time.monotonic() + 30
    while _is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_memory_beyond_the_limit_can_t_be_had():
    child = os.fork()
    if child == 0:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        own_limits.limit_memory(used + (1 << 30))
        try:
            bytearray(1 << 32)
        except MemoryError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
