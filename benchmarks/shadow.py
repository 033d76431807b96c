"""Measure what a shadow costs, and how it sees a version that is worse.

    python -m benchmarks.shadow PHOTOS [--photos 200] [--seconds 10] [--rounds 3]

PHOTOS is searched for JPEGs. One service has the built-in model as version 1, which serves, and as
version 2 with the labels of every fifth pair of classes exchanged: the same cost, and worse. It
gets a load of clients that each wait for their response, and a load at a fixed rate, at a share of
0 (no shadow), 0.1 and 1.0 in turn. Printed, in Markdown: the median over the rounds of throughput,
latency and CPU time, the images that ran in the shadow, and the seconds that those runs took for
each second of the responses.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any

import click

from app import bundle as bundles
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import IMAGENET

SHARES = (0.0, 0.1, 1.0)
_ADMIN_KEY = "benchmark"
_NAME = "lite0"
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Point:
    """A load: some clients that wait for their responses, or one at a rate."""

    clients: int
    per_second: float | None = None

    @property
    def name(self) -> str:
        """The load in words."""
        if self.per_second is not None:
            return f"{self.per_second:g} photos a second"
        return f"{self.clients} client{'s' * (self.clients > 1)}"


POINTS = (Point(1, 10.0), Point(1), Point(2), Point(8))


@dataclass(frozen=True)
class Measured:
    """One measurement."""

    per_second: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    """CPU time of the service for each response."""
    shadowed: int
    cost: float
    """Seconds of shadow runs for each second of responses."""
    dropped: int


def write_models(folder: Path, source: Path = IMAGENET) -> None:
    """Write both versions into `folder`."""
    for version in (1, 2):
        target = folder / _NAME / str(version)
        target.mkdir(parents=True)
        manifest = json.loads((source / bundles.MANIFEST).read_text(encoding="utf-8"))
        del manifest["sha256"]
        manifest |= {"name": _NAME, "version": version}
        if version == 2:  # noqa: PLR2004
            manifest["labels"] = exchanged(manifest["labels"])
        for name in manifest["files"]:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
        bundles.write_manifest(manifest, target)


def exchanged(labels: Sequence[Any]) -> list[Any]:
    """Return labels in which every fifth pair of neighbours is exchanged."""
    changed = list(labels)
    for first in range(0, len(changed) - 1, 10):
        changed[first], changed[first + 1] = changed[first + 1], changed[first]
    return changed


class Service:
    """The service under test.

    Args:
        models: its folder of models.
    """

    def __init__(self, models: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1/classify"
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        entry = "from app.cli import main; main()"
        command = (sys.executable, "-c", entry, "serve", "--port", str(port))
        environment = {"HUBEL_ADMIN_KEY": _ADMIN_KEY, "HUBEL_DEFAULT_MODEL": _NAME}
        self.process = ServerProcess(
            (*command, "--models", str(models)), environment, self._is_ready
        )
        self.request("POST", f"models/{_NAME}/reload?version=1")

    def _is_ready(self) -> bool:
        try:
            self._connection.request("GET", "/readyz")
            response = self._connection.getresponse()
            response.read()
        except OSError:
            self._connection.close()
            return False
        return response.status == 200  # noqa: PLR2004

    def request(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON of a response."""
        headers = {"X-API-Key": _ADMIN_KEY}
        self._connection.request(method, f"/api/v1/{path}", body, headers)
        response = self._connection.getresponse()
        content = json.loads(response.read())
        if response.status != 200:  # noqa: PLR2004
            raise SystemExit(f"{method} {path}: {content}")
        return content

    def report(self) -> Any:
        """Return the comparison of version 2."""
        return self.request("GET", f"models/{_NAME}/versions/2/shadow")

    def shadow(self, share: float) -> None:
        """Shadow version 2, or end that for a share of 0."""
        mode = f"mode=shadow&share={share}" if share else "mode=reject"
        self.request("POST", f"models/{_NAME}/reload?{mode}&version=2")


def closed_loop(url: str, bodies: Path, clients: int, seconds: float) -> list[float]:
    """Return the latencies in ms of clients that each wait for their response."""
    command = (sys.executable, "-m", "benchmarks.serving.load", url, str(bodies))
    arguments = (str(clients), str(seconds), "0")
    done = subprocess.run((*command, *arguments), check=True, stdout=subprocess.PIPE)
    latencies: list[float] = json.loads(done.stdout)["latencies_ms"]
    return latencies


def at_rate(
    service: Service, photos: Iterator[bytes], per_second: float, seconds: float
) -> list[float]:
    """Return the latencies in ms of photos that are sent at a fixed rate."""
    latencies = []
    began = time.perf_counter()
    for number in range(round(per_second * seconds)):
        time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        sent = time.perf_counter()
        service.request("POST", "classify", next(photos))
        latencies.append((time.perf_counter() - sent) * 1e3)
    return latencies


def measure(service: Service, bodies: Path, point: Point, share: float, seconds: float) -> Measured:
    """Measure one load with one share."""
    service.shadow(share)
    before = service.report()
    photos = cycle([file.read_bytes() for file in sorted(bodies.iterdir())])
    began, cpu_s = time.perf_counter(), service.process.cpu_s()
    if point.per_second is None:
        latencies = closed_loop(service.url, bodies, point.clients, seconds)
    else:
        latencies = at_rate(service, photos, point.per_second, seconds)
    taken_s = time.perf_counter() - began
    time.sleep(_SETTLE_S)
    cpu_s = service.process.cpu_s() - cpu_s
    after = service.report()
    earned_s = after["earned_seconds"] - before["earned_seconds"]
    spent_s = after["spent_seconds"] - before["spent_seconds"]
    dropped = sum(after["dropped"].values()) - sum(before["dropped"].values())
    return Measured(
        per_second=len(latencies) / (seconds if point.per_second is None else taken_s),
        p50_ms=statistics.median(latencies),
        p95_ms=statistics.quantiles(latencies, n=20)[-1],
        cpu_ms=1e3 * cpu_s / len(latencies),
        shadowed=after["images"] - before["images"],
        cost=spent_s / (earned_s / share) if share and earned_s else 0.0,
        dropped=dropped,
    )


def row(point: Point, share: float, measured: Sequence[Measured]) -> str:
    """Return a row of the table: the medians of the rounds."""

    def middle(name: str) -> float:
        return statistics.median(getattr(each, name) for each in measured)

    return (
        f"| {point.name} | {share:g} | {middle('per_second'):.1f} | {middle('p50_ms'):.1f} | "
        f"{middle('p95_ms'):.1f} | {middle('cpu_ms'):.1f} | {middle('shadowed'):.0f} | "
        f"{middle('cost'):.3f} | {middle('dropped'):.0f} |"
    )


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--photos", "count", default=200, help="Photos that are sent in turn.")
@click.option("--seconds", default=10.0, help="Seconds of each measurement.")
@click.option("--rounds", default=3, help="Measurements of each load and share.")
def main(photos: Path, count: int, seconds: float, rounds: int) -> None:
    """Print the table, and what the shadow says about version 2."""
    files = [file for file in photos.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg")]
    files = sorted(files, key=lambda file: (file.name, file))[:count]
    if not files:
        raise click.UsageError(f"There are no JPEGs in {photos}. Name a folder that has some.")
    with tempfile.TemporaryDirectory() as folder:
        bodies, models = Path(folder) / "bodies", Path(folder) / "models"
        bodies.mkdir()
        for number, file in enumerate(files):
            (bodies / f"{number:05}.jpg").symlink_to(file.resolve())
        write_models(models)
        service = Service(models)
        try:
            closed_loop(service.url, bodies, 2, 2.0)  # warm
            print(
                "| load | share | photos/s | p50 ms | p95 ms | CPU ms a response | in the shadow | "
                "shadow s per s | dropped |"
            )
            print("|---|---|---|---|---|---|---|---|---|")
            for point in POINTS:
                measured: dict[float, list[Measured]] = {share: [] for share in SHARES}
                for number in range(rounds):
                    turned = SHARES[number % 3 :] + SHARES[: number % 3]
                    for share in turned:
                        measured[share].append(measure(service, bodies, point, share, seconds))
                for share in SHARES:
                    print(row(point, share, measured[share]), flush=True)
            report = service.report()
            del report["disagreements"]
            print(json.dumps(report, indent=1))
        finally:
            service.process.stop()


if __name__ == "__main__":
    main()
