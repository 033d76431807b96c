"""Measure what a training job costs the service beside it: throughput and p99 of its responses.

    python -m benchmarks.training_job --photos DIR [--rounds 4] [--seconds 5] [--clients 8]

One service is loaded all the time by clients that each wait for a response before they post the
next photo. In each round it is measured in turns:

    alone   no job runs
    job     a job trains on the photos of DIR, a folder for each label: as many periods as it runs

Printed, in Markdown: the median throughput and p99 of both, the ratios of each round to its period
alone with their mean, and the seconds that a job took.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import responds

_KEY = "benchmark"
_SENT = 40
"""Photos that the clients send in turn."""
_MOST_PERIODS = 12


@dataclass(frozen=True)
class Period:
    """What clients saw in one period."""

    per_s: float
    p99_ms: float


@dataclass
class Measured:
    """The periods of all rounds."""

    alone: list[Period] = field(default_factory=list)
    job: list[Period] = field(default_factory=list)
    throughput_ratios: list[float] = field(default_factory=list)
    p99_ratios: list[float] = field(default_factory=list)
    job_s: list[float] = field(default_factory=list)


def write_dataset(source: Path, folder: Path) -> None:
    """Link the photos of a folder per label into a dataset, each named by its SHA-256."""
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        (folder / label.name).mkdir(parents=True)
        for file in sorted(label.iterdir()):
            name = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
            shutil.copyfile(file, folder / label.name / f"{name}.jpg")


class Jobs:
    """The jobs of a service, by HTTP."""

    def __init__(self, address: str) -> None:
        self._url = f"{address}/api/v1/jobs"

    def start(self) -> str:
        """Start a job on the dataset, and return its id once it runs."""
        body = {"train": {"dataset": "photos", "model": "measured"}, "promote": "offer"}
        id: str = self._request("POST", self._url, body)["id"]
        while self.job(id)["state"] == "queued":
            time.sleep(0.05)
        return id

    def job(self, id: str) -> dict[str, Any]:
        """Return a job."""
        return self._request("GET", f"{self._url}/{id}")

    def _request(self, method: str, url: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"X-API-Key": _KEY}, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
            return answer


def measure(url: str, folder: Path, clients: int, seconds: float) -> Period:
    """Load the service for some seconds."""
    command = [sys.executable, "-m", "benchmarks.serving.load", url, str(folder)]
    done = subprocess.run(
        [*command, str(clients), str(seconds), "0"], capture_output=True, check=True, text=True
    )
    result = json.loads(done.stdout)
    if set(result["statuses"]) != {"200"}:
        raise SystemExit(f"Some requests failed: {result['statuses']}.")
    latencies = sorted(result["latencies_ms"])
    return Period(len(latencies) / seconds, latencies[int(0.99 * (len(latencies) - 1))])


def measure_rounds(address: str, sent: Path, rounds: int, seconds: float, clients: int) -> Measured:
    """Measure the service alone and beside a job, in turns."""
    jobs, measured = Jobs(address), Measured()
    load = partial(measure, f"{address}/api/v1/classify", sent, clients, seconds)
    load()  # not counted: caches are cold
    for _ in range(rounds):
        alone = [load()]
        began = time.monotonic()
        id = jobs.start()
        beside: list[Period] = []
        while len(beside) < _MOST_PERIODS:
            period = load()
            if jobs.job(id)["state"] != "running":
                break
            beside.append(period)
        while jobs.job(id)["state"] == "running":
            time.sleep(0.2)
        if (job := jobs.job(id))["state"] != "done":
            raise SystemExit(f"The job is {job['state']}: {job['problem']}.")
        measured.job_s.append(time.monotonic() - began)
        alone.append(load())
        measured.alone += alone
        measured.job += beside
        for periods, of in (
            (measured.throughput_ratios, lambda each: each.per_s),
            (measured.p99_ratios, lambda each: each.p99_ms),
        ):
            periods.append(statistics.mean(map(of, beside)) / statistics.mean(map(of, alone)))
    return measured


def table(measured: Measured) -> str:
    """Return the table, in Markdown."""
    lines = ["| | requests/s | p99 |", "|---|---|---|"]
    for name, periods in (("alone", measured.alone), ("job", measured.job)):
        per_s = statistics.median(each.per_s for each in periods)
        p99_ms = statistics.median(each.p99_ms for each in periods)
        lines.append(f"| {name} | {per_s:.1f} | {p99_ms:.0f} ms |")
    throughput = statistics.mean(measured.throughput_ratios)
    p99 = statistics.mean(measured.p99_ratios)
    rounds = ", ".join(f"{each:.2f}" for each in measured.throughput_ratios)
    p99s = ", ".join(f"{each:.2f}" for each in measured.p99_ratios)
    lines.append(f"| ratio | {throughput:.2f} ({rounds}) | {p99:.2f} ({p99s}) |")
    lines.append(f"\nA job took {statistics.median(measured.job_s):.0f} s.")
    return "\n".join(lines)


def run(photos: Path, rounds: int, seconds: float, clients: int) -> str:
    """Start a service, measure it, and return what is printed."""
    with tempfile.TemporaryDirectory() as temporary:
        data, models, sent = (Path(temporary, name) for name in ("data", "models", "sent"))
        for folder in (data, models, sent):
            folder.mkdir()
        write_dataset(photos, data / "datasets" / "photos")
        files = sorted(path for path in photos.rglob("*") if path.suffix.lower() == ".jpg")
        for file in files[:: max(1, len(files) // _SENT)][:_SENT]:
            shutil.copyfile(file, sent / f"{file.parent.name}-{file.name}")
        address = f"http://127.0.0.1:{free_port()}"
        environment = {
            "HUBEL_DATA_DIR": str(data),
            "HUBEL_MODELS": str(models),
            "HUBEL_ADMIN_KEY": _KEY,
            "HUBEL_DEFAULT_MODEL": "imagenet",
            "HUBEL_QUEUE_WAIT_S": "30",
            "HUBEL_DRAIN_S": "0",
        }
        command = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
        command += ["--port", address.rpartition(":")[2]]
        ready = partial(responds, f"{address}/api/v1/classify", files[0].read_bytes(), form=False)
        server = ServerProcess(command, environment, ready)
        try:
            return table(measure_rounds(address, sent, rounds, seconds, clients))
        finally:
            server.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args(arguments)
    print(describe(), end="\n\n", flush=True)
    print(run(options.photos, options.rounds, options.seconds, options.clients))


if __name__ == "__main__":
    main()
