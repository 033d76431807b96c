"""A service under a step of load, and what the autoscaler for Kubernetes makes of its metrics.

    python -m benchmarks.autoscaler --photos DIR [--load 0.6] [--step 2.0] [--start-s 20]
                                    [--windows 14]

The service that runs stands for one of two pods: it is offered its part of the load, an open loop
at a share of what it can do, and from the fourth window on STEP times as much. Every 15 s its
/metrics are read, as Prometheus scrapes them. `hubel_queue_depth` and the use of its processor go
to the autoscaler's algorithm (`benchmarks.simulation.autoscaler`), with the settings of
deploy/kubernetes. A new pod takes its part after START-S. Linux only.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runtime.host import available_cores
from benchmarks.hardening import overload
from benchmarks.hardening.open_loop import WARM_UP_S
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess
from benchmarks.simulation.autoscaler import SYNC_S, Autoscaler

_PODS = 2
_STEP_AFTER = 3
"""Windows of the first load."""
_READ_S = 0.5
"""The time before the end of a window at which the metrics are read."""
_DEPTH = re.compile(r"^hubel_queue_depth(?:{.*})? (\S+)$", re.M)


@dataclass(frozen=True)
class Window:
    """What the autoscaler has seen and wanted after 15 s."""

    at_s: float
    pods: int
    offered: float
    """Requests a second of all pods."""
    depth: float
    used: float
    """The use of the processor, of 1."""
    wanted: int
    load: "subprocess.Popen[bytes]"

    def row(self) -> str:
        """Wait for the responses, and return the row of the table."""
        output, _ = self.load.communicate()
        statuses: dict[str, Any] = json.loads(output)["statuses"]
        counts = {status: each["count"] for status, each in statuses.items()}
        good = counts.get("200", 0) / max(1, sum(counts.values()))
        return (
            f"| {self.at_s:.0f} | {self.pods} | {self.offered:.0f} | {self.offered * good:.0f} | "
            f"{1 - good:.3f} | {self.depth:.0f} | {self.used:.2f} | {self.wanted} |"
        )


def queue_depth(metrics: str) -> float:
    """Return `hubel_queue_depth` of a text of /metrics."""
    found = _DEPTH.search(metrics)
    if found is None:
        raise SystemExit("/metrics has no hubel_queue_depth.")
    return float(found[1])


def watch(
    process: ServerProcess, url: str, photo: Path, full: float, options: argparse.Namespace
) -> list[Window]:
    """Load the service, and return the windows.

    Args:
        process: the service.
        url: its address.
        photo: the file that is sent.
        full: requests a second that it can do.
        options: those of the command line.
    """
    scaler, windows = Autoscaler(_PODS), list[Window]()
    pods, starting = _PODS, list[float]()
    began = time.monotonic()
    for number in range(options.windows):
        ready = sum(at <= time.monotonic() - began for at in starting)
        pods, starting = pods + ready, starting[ready:]
        offered = _PODS * full * options.load * (options.step if number >= _STEP_AFTER else 1)
        used_s = process.cpu_s()
        route = f"{url}/api/v1/classify"
        arguments = [route, photo, offered / pods, SYNC_S - WARM_UP_S]
        command = [sys.executable, "-m", "benchmarks.hardening.open_loop", *map(str, arguments)]
        load = subprocess.Popen(command, stdout=subprocess.PIPE)
        time.sleep((number + 1) * SYNC_S - (time.monotonic() - began) - _READ_S)
        with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:
            depth = queue_depth(response.read().decode())
        used = (process.cpu_s() - used_s) / (SYNC_S - _READ_S) / available_cores()
        now = time.monotonic() - began
        wanted = scaler.decide(now, pods, depth, used)
        starting += [now + options.start_s] * (wanted - pods - len(starting))
        windows.append(Window(now, pods, offered, depth, used, wanted, load))
        time.sleep(max(0.0, (number + 1) * SYNC_S - (time.monotonic() - began)))
    return windows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--load", type=float, default=0.6)
    parser.add_argument("--step", type=float, default=2.0)
    parser.add_argument("--start-s", type=float, default=20.0)
    parser.add_argument("--windows", type=int, default=14)
    options = parser.parse_args()
    with overload.serving_one_photo(options.photos, overload.ROOT) as (process, url, file):
        full = overload.capacity(process, url, file.parent, 5)
        rows = [window.row() for window in watch(process, url, file, full, options)]
    print(f"{describe()}; {available_cores()} cores; a pod can do {full:.0f} photos/s\n")
    print("| s | pods | offered/s | 200/s | share of 429 | queue | processor | wanted |")
    print("|---|---|---|---|---|---|---|---|\n" + "\n".join(rows))


if __name__ == "__main__":
    os.chdir(overload.ROOT)
    main()
