"""Hubel against the frameworks, in one run: `make bench ARGS="--photos DIR"`.

photos -> bodies -> every server started -> rounds, in each of them every point in turn
       -> medians over the rounds -> a table, and what Hubel claims, with the ratios

All servers stand idle but the one that is loaded, and take turns every few seconds, so that what
else the machine does falls on all alike. Linux alone: CPU time and memory come from /proc.
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

from benchmarks.serving import bodies, report
from benchmarks.serving.bulk import Bulk
from benchmarks.serving.limit import Limit
from benchmarks.serving.process import ServerProcess
from benchmarks.serving.servers import Racer, racers, start


@dataclass(frozen=True)
class Point:
    """One thing that is measured."""

    racer: str
    kind: str
    """Of the bodies."""
    clients: int


def points_of(racer: Racer) -> list[Point]:
    """What a server is asked for."""

    def points(*asked: tuple[str, int]) -> list[Point]:
        return [Point(racer.name, kind, clients) for kind, clients in asked]

    if racer.is_hubel:
        one, many = ("480", 1), (("480", 8), ("480", 32), ("480", 128), ("web", 32), ("12mp", 8))
        return points(one, ("web", 1), *many) if racer.name == "hubel" else points(one, ("480", 32))
    if racer.name.endswith(" 1"):
        return points(("480", 1), ("web", 1))
    if racer.name.endswith(" draft"):
        return points(("12mp", 8))
    if racer.name.endswith(" int8"):
        return points(("480", 32))
    return points(("480", 8), ("480", 32), ("web", 32), ("12mp", 8))


class Race:
    """All servers, and what was measured of them."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._photo = next((folder / "480").iterdir()).read_bytes()
        self._running: dict[str, tuple[Racer, ServerProcess, str]] = {}
        self.figures: dict[Point, list[report.Figures]] = defaultdict(list)

    def __enter__(self) -> "Race":
        """Start everybody."""
        try:
            for racer in racers(self._folder):
                print(f"starting {racer.name}", file=sys.stderr)
                self._running[racer.name] = (racer, *start(racer, self._photo))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everybody."""
        for _, process, _ in self._running.values():
            process.stop()

    def points(self) -> Iterator[Point]:
        """Everything that one round measures; a body's kind at a time, its rivals side by side."""
        found = [point for racer, *_ in self._running.values() for point in points_of(racer)]
        yield from sorted(found, key=lambda point: (point.kind, point.clients))

    def measure(self, point: Point) -> None:
        """Load one server."""
        racer, process, url = self._running[point.racer]
        before = process.cpu_s()
        arguments = (url, self._folder / point.kind, point.clients, self._seconds, int(racer.form))
        client = [sys.executable, "-m", "benchmarks.serving.load", *map(str, arguments)]
        load = json.loads(subprocess.run(client, check=True, stdout=subprocess.PIPE).stdout)
        latencies = load["latencies_ms"]
        # those that were answered before and behind the time cost as much
        answered = load["before"] + len(latencies) + point.clients
        self.figures[point].append(
            report.Figures(
                per_s=len(latencies) / self._seconds,
                p50_ms=_percentile(latencies, 50),
                p99_ms=_percentile(latencies, 99),
                cpu_ms=(process.cpu_s() - before) / answered * 1e3,
                pss_mb=process.pss_mb(),
                failed=sum(n for status, n in load["statuses"].items() if status != "200"),
            )
        )


def _percentile(latencies: list[float], percent: float) -> float:
    return float(np.percentile(latencies, percent)) if latencies else float("inf")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5, help="that each point is loaded")
    parser.add_argument("--quick", action="store_true", help="two rounds of 1.5 s")
    given = parser.parse_args()
    rounds, seconds = (2, 1.5) if given.quick else (given.rounds, given.seconds)
    with tempfile.TemporaryDirectory() as below:
        folder = Path(below)
        bodies.make(given.photos, folder)
        with Race(folder, seconds) as race:
            limit, bulk = Limit(folder / "models" / "fp32"), Bulk(folder)
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
                race.figures[Point("bulk", "480", 0)].append(report.Figures(bulk.measure()))
                for kind in bodies.KINDS:
                    per_s, cpu_ms = limit.measure(folder / kind, seconds)
                    race.figures[Point("limit", kind, 0)].append(report.Figures(per_s, cpu_ms))
                for point in race.points():
                    race.measure(point)
        report.show({(p.racer, p.kind, p.clients): f for p, f in race.figures.items()})


if __name__ == "__main__":
    main()
