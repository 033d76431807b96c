"""Compare Hubel with other serving frameworks in one run: `make bench ARGS="--photos DIR"`.

photos -> bodies -> start every server -> rounds; each measures every point in turn
       -> medians over the rounds -> a table, and Hubel's claims with their ratios

Only one server is under load at a time. Servers take turns every few seconds, so that other work
on the machine affects all of them equally. Linux only: CPU time and memory come from /proc.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.runtime.host import available_cores
from benchmarks.processor import describe
from benchmarks.serving import bodies, report
from benchmarks.serving.bulk import Bulk
from benchmarks.serving.limit import Limit
from benchmarks.serving.process import ServerProcess
from benchmarks.serving.servers import IMAGENET, Server, all_servers, start


@dataclass(frozen=True)
class Point:
    """A combination of server, photos and clients that is measured."""

    server: str
    kind: str
    """The kind of the bodies."""
    clients: int


class Benchmark:
    """All servers and their measurements."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._photo = next((folder / "480").iterdir()).read_bytes()
        self._running: dict[str, tuple[Server, ServerProcess, str]] = {}
        self.figures: dict[Point, list[report.Figures]] = defaultdict(list)

    def __enter__(self) -> "Benchmark":
        """Start all servers."""
        try:
            for server in all_servers(self._folder):
                print(f"starting {server.name}", file=sys.stderr)
                self._running[server.name] = (server, *start(server, self._photo))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all servers."""
        for _, process, _ in self._running.values():
            process.stop()

    def points(self) -> Iterator[Point]:
        """Yield the points of one round, those with the same bodies and clients in succession."""
        points = [
            Point(name, kind, clients)
            for name, (server, *_) in self._running.items()
            for kind, clients in server.points
        ]
        yield from sorted(points, key=lambda point: (point.kind, point.clients))

    def measure(self, point: Point) -> None:
        """Load one server and record its figures."""
        server, process, url = self._running[point.server]
        before = process.cpu_s()
        arguments = (url, self._folder / point.kind, point.clients, self._seconds, int(server.form))
        client = [sys.executable, "-m", "benchmarks.serving.load", *map(str, arguments)]
        load = json.loads(subprocess.run(client, check=True, stdout=subprocess.PIPE).stdout)
        latencies = load["latencies_ms"]
        # requests before and after the measured time use CPU time too
        responses = load["before"] + len(latencies) + point.clients
        self.figures[point].append(
            report.Figures(
                per_s=len(latencies) / self._seconds,
                p50_ms=_percentile(latencies, 50),
                p99_ms=_percentile(latencies, 99),
                cpu_ms=(process.cpu_s() - before) / responses * 1e3,
                pss_mb=process.pss_mb(),
                client_cores=load["cores"],
                idle=load["idle_cores"] / available_cores(),
                failed=sum(n for status, n in load["statuses"].items() if status != "200"),
            )
        )


def _percentile(latencies: list[float], percent: float) -> float:
    return float(np.percentile(latencies, percent)) if latencies else float("inf")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=2.5, help="duration of the load at each point"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds of 1.5 s")
    arguments = parser.parse_args()
    rounds, seconds = (2, 1.5) if arguments.quick else (arguments.rounds, arguments.seconds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies.make(arguments.photos, folder)
        with Benchmark(folder, seconds) as benchmark:
            limits = {
                "limit": Limit(folder / "models" / "fp32"),
                "limit float": Limit(folder / "imported" / "lite0"),
                "limit int8": Limit(IMAGENET),
            }
            bulk = Bulk(folder)
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
                benchmark.figures[Point("bulk", "480", 0)].append(report.Figures(bulk.measure()))
                for name, limit in limits.items():
                    for kind in bodies.KINDS if name == "limit" else ["480"]:
                        per_s, cpu_ms = limit.measure(folder / kind, seconds)
                        figures = report.Figures(per_s, cpu_ms)
                        benchmark.figures[Point(name, kind, 0)].append(figures)
                for point in benchmark.points():
                    benchmark.measure(point)
        print(f"{describe()}; {available_cores()} cores\n")
        report.show({(p.server, p.kind, p.clients): f for p, f in benchmark.figures.items()})


if __name__ == "__main__":
    main()
