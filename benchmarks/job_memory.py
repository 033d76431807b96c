"""Measure the memory of a job's process, with and without limits.

    python -m benchmarks.job_memory --photos DIR [--recipe head] [--limit-mb 0 300 500]

A process trains on the photos of DIR, a folder for each label, once for each limit; 0: no limit.
Printed: the peaks of what the limit counts (VmData) and of what is in memory (VmHWM), the seconds,
and how it ended.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from app.jobs.job import TrainRequest
from app.jobs.plan import Plan
from app.jobs.process import JobProcess
from benchmarks.training_job import write_dataset

_MB = 1_000_000


def peaks_mb(status: str) -> tuple[float, float]:
    """Return VmData and VmHWM of /proc/PID/status in MB."""
    found = dict(re.findall(r"^(VmData|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return tuple(int(found.get(name, 0)) * 1024 / _MB for name in ("VmData", "VmHWM"))  # type: ignore[return-value]


def run(data_dir: Path, folder: Path, recipe: str, limit_mb: int) -> str:
    """Run one process, and return its line."""
    (folder / "work").mkdir(parents=True)
    train = TrainRequest.model_validate({"dataset": "photos", "model": "m", "recipe": recipe})
    limit = limit_mb * _MB or None
    plan = Plan(train=train, data_dir=data_dir, version=1, memory_bytes=limit)
    (folder / "work" / "plan.json").write_text(plan.model_dump_json())
    began = time.monotonic()
    process = JobProcess(folder, folder / "log.txt", folder, 1)
    data = resident = 0.0
    last = b"{}"
    for line in process.lines():
        last = line
        with suppress(OSError):
            now = peaks_mb(Path(f"/proc/{process.pid}/status").read_text())
            data, resident = max(data, now[0]), max(resident, now[1])
    status = process.wait()
    end = json.loads(last)
    said = end.get("problem", {}).get("code", "") or end.get("text", "")
    seconds = time.monotonic() - began
    return (
        f"| {limit_mb or 'none'} | {data:.0f} | {resident:.0f} | {seconds:.0f} | {status} {said} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--recipe", default="head")
    parser.add_argument("--limit-mb", type=int, nargs="+", default=[0, 300, 500])
    options = parser.parse_args(arguments)
    print("| limit, MB | VmData, MB | VmHWM, MB | s | end |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = Path(temporary, "data")
        write_dataset(options.photos, data_dir / "datasets" / "photos")
        for limit_mb in options.limit_mb:
            folder = Path(temporary, f"{limit_mb}")
            print(run(data_dir, folder, options.recipe, limit_mb), flush=True)


if __name__ == "__main__":
    main()
