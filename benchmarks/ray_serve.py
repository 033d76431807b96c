"""Measure what Ray Serve costs: the service itself, and behind Ray's HAProxy and its Python proxy.

    python -m benchmarks.ray_serve --photos DIR [--python .venv/ray/bin/python] [--rounds 6]
        [--seconds 3] [--clients 16]

Three servers run, and in each round each is loaded once, in turns. `make .venv/.ray` makes the
environment with Ray. Printed, in Markdown, for each server: the median requests per second; the
cores that all its processes use without a request; the median CPU time that a request adds; and the
ratio of the requests per second to those of `hubel serve` if nothing else used the cores, which
follows from both: (cores - idle) / cores * CPU time of `hubel serve` / CPU time, the mean over the
rounds with its 95 % interval. Other work on the machine changes the measured requests per second,
and their CPU time hardly. Linux only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.runtime.host import available_cores
from benchmarks.observability import difference
from benchmarks.processor import describe
from benchmarks.serving import bodies
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import responds

PLAIN = "hubel serve"
_IDLE_S = 15.0
_RAY = ("--engine", "ray")
VARIANTS: Mapping[str, tuple[Sequence[str], Mapping[str, str]]] = {
    PLAIN: ((), {}),
    "--engine ray": (_RAY, {}),
    "with Ray's Python proxy": (
        _RAY,
        {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "1"},
    ),
}
"""Options and variables of each server."""


def start_server(python: Path, variant: str, photo: bytes) -> tuple[ServerProcess, str]:
    """Start a server; return it with its URL."""
    options, variables = VARIANTS[variant]
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    command = [str(python), "-m", "hubel", "serve", "--port", str(port), *options]
    environment = {"HUBEL_QUEUE_WAIT_S": "30", "HUBEL_DEADLINE_S": "60", **variables}
    return ServerProcess(command, environment, partial(responds, url, photo, form=False)), url


@dataclass(frozen=True)
class Measured:
    """The figures of a server in one round."""

    per_s: float
    cpu_ms: float
    """The CPU time that a request adds."""


def idle_cores(process: ServerProcess) -> float:
    """Return the cores that a server uses without a request."""
    began, before = time.monotonic(), process.cpu_s()
    time.sleep(_IDLE_S)
    return (process.cpu_s() - before) / (time.monotonic() - began)


def measure(
    process: ServerProcess, url: str, folder: Path, arguments: argparse.Namespace, idle: float
) -> Measured:
    """Load a server once."""
    load = [url, folder, arguments.clients, arguments.seconds, 0]
    command = [sys.executable, "-m", "benchmarks.serving.load", *map(str, load)]
    began, before = time.monotonic(), process.cpu_s()
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    used_s = process.cpu_s() - before - idle * (time.monotonic() - began)
    if set(done["statuses"]) != {"200"}:
        raise SystemExit(f"not every response is 200: {done['statuses']}")
    count = len(done["latencies_ms"])
    responses = done["before"] + count + arguments.clients
    return Measured(count / arguments.seconds, used_s / responses * 1e3)


def table(measured: Mapping[str, Sequence[Measured]], idle: Mapping[str, float]) -> str:
    """Return the table, in Markdown."""
    lines = [
        "| server | requests/s | idle, cores | CPU ms a request | ratio |",
        "|---|---|---|---|---|",
    ]
    cores = available_cores()
    plain = [1 / each.cpu_ms for each in measured[PLAIN]]
    for variant, rounds in measured.items():
        left = (cores - idle[variant]) / cores
        mean, half = difference([left / each.cpu_ms for each in rounds], plain)
        ratio = "" if variant == PLAIN else f"{1 + mean:.2f} ± {half:.2f}"
        per_s = statistics.median(each.per_s for each in rounds)
        cpu_ms = statistics.median(each.cpu_ms for each in rounds)
        cells = f"{per_s:.1f} | {idle[variant]:.2f} | {cpu_ms:.1f} | {ratio}"
        lines.append(f"| {variant} | {cells} |")
    return "\n".join(lines)


def run(arguments: argparse.Namespace) -> str:
    """Start the servers, load them in turns, and return the table."""
    measured: dict[str, list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies.make(arguments.photos, folder, ["480"])
        photo = next((folder / "480").iterdir()).read_bytes()
        running = {}
        try:
            for variant in VARIANTS:
                running[variant] = start_server(arguments.python, variant, photo)
            idle = {variant: idle_cores(process) for variant, (process, _) in running.items()}
            for _ in range(arguments.rounds):
                for variant, (process, url) in running.items():
                    figures = measure(process, url, folder / "480", arguments, idle[variant])
                    measured[variant].append(figures)
        finally:
            for process, _ in running.values():
                process.stop()
    return table(measured, idle)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--python", type=Path, default=Path(".venv/ray/bin/python"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clients", type=int, default=16)
    print(f"{describe()}\n\n{run(parser.parse_args())}")


if __name__ == "__main__":
    main()
