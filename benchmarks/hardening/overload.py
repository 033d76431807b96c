"""Overload the service by an open loop, and show what it still does.

    python -m benchmarks.hardening.overload --photos DIR [--factors 2 5 10] [--seconds 5]
                                            [--tree DIR] [--models DIR]

The capacity is the throughput of 32 closed-loop clients. Then requests arrive at a multiple of it,
whatever the responses (`open_loop`), while probes ask for /livez and /readyz (`probes`). Generator
and probes share the service's cores, so the CPU time of all other processes is measured and set
aside, here and for the capacity: the share is goodput / (capacity of all cores x the part of the
cores that the others leave). `--tree` serves another working tree
of this repository. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.runtime.host import available_cores
from benchmarks.hardening.open_loop import WARM_UP_S, percentile
from benchmarks.processor import describe
from benchmarks.serving import bodies
from benchmarks.serving.process import ServerProcess, busy_s, free_port
from benchmarks.serving.servers import responds

ROOT = Path(__file__).resolve().parents[2]
SERVE = "from app.cli import main; main()"
_CLIENTS = 32
_PROBED = ("/livez", "/readyz")
_START_S = 0.5
"""The time that a load generator takes to start."""
_RECOVERED_REQUESTS = 5
_MAX_RECOVERY_S = 60.0


def start(tree: Path, models: Path | None, photo: bytes) -> tuple[ServerProcess, str]:
    """Start a tree's server; return it and its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", SERVE, "serve", "--port", url.rpartition(":")[2]]
    if models is not None:
        command += ["--models", str(models)]
    environment = {
        "PYTHONPATH": str(tree),
        "PYTHONSAFEPATH": "1",  # or the folder that this runs in comes before the tree
        "HUBEL_DRAIN_S": "0",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    route = f"{url}/api/v1/classify"
    return ServerProcess(command, environment, lambda: responds(route, photo, form=False)), url


@contextmanager
def serving_one_photo(
    photos: Path, tree: Path, models: Path | None = None
) -> Generator[tuple[ServerProcess, str, Path], None, None]:
    """Start a tree's server; yield it, its URL, and a photo of `photos` alone in its folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies.make(photos, folder, ["480"])
        one = folder / "one"
        one.mkdir()
        file = one / "photo.jpg"
        sorted((folder / "480").iterdir())[0].rename(file)
        process, url = start(tree, models, file.read_bytes())
        try:
            yield process, url, file
        finally:
            process.stop()


def _spawn(module: str, *arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _result(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit("A load generator failed.")
    result: dict[str, Any] = json.loads(output)
    return result


class Cores:
    """The cores that a server had, or could have had, for a while: those that nobody else used.

    Args:
        server: the server.
    """

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._began = time.monotonic()
        self._others_s = busy_s() - server.cpu_s()

    def left(self) -> float:
        """Return the cores that other processes, load generators too, left since the beginning."""
        others_s = busy_s() - self._server.cpu_s() - self._others_s
        return available_cores() - others_s / (time.monotonic() - self._began)


def capacity(server: ServerProcess, url: str, folder: Path, seconds: float) -> float:
    """Return the requests per second that all cores could do, from a closed loop."""
    route = f"{url}/api/v1/classify"
    _result(_spawn("benchmarks.serving.load", route, folder, _CLIENTS, 1, 0))
    load = _spawn("benchmarks.serving.load", route, folder, _CLIENTS, seconds, 0)
    time.sleep(_START_S)
    cores = Cores(server)
    time.sleep(seconds - 2 * _START_S)
    left = cores.left()
    return len(_result(load)["latencies_ms"]) / seconds * available_cores() / left


def recovery_s(url: str, photo: bytes, usual_s: float) -> float:
    """Return the seconds until several requests in a row take no more than four usual times."""
    began = time.perf_counter()
    good = 0
    while good < _RECOVERED_REQUESTS and time.perf_counter() - began < _MAX_RECOVERY_S:
        sent = time.perf_counter()
        try:
            urllib.request.urlopen(f"{url}/api/v1/classify", photo, timeout=60).read()
            good = good + 1 if time.perf_counter() - sent <= 4 * usual_s else 0
        except urllib.error.HTTPError:
            good = 0
    return time.perf_counter() - began


def _usual_s(url: str, photo: bytes) -> float:
    times = []
    for _ in range(20):
        began = time.perf_counter()
        urllib.request.urlopen(f"{url}/api/v1/classify", photo, timeout=60).read()
        times.append(time.perf_counter() - began)
    return percentile(times, 50)


def overload(
    server: ServerProcess, url: str, file: Path, factor: float, full: float, seconds: float
) -> dict[str, float]:
    """Return the figures at `factor` times the capacity `full`."""
    route = f"{url}/api/v1/classify"
    photo = file.read_bytes()
    usual_s = _usual_s(url, photo)
    generator = _spawn("benchmarks.hardening.open_loop", route, file, factor * full, seconds)
    time.sleep(WARM_UP_S)
    cores = Cores(server)
    probes = _spawn("benchmarks.hardening.probes", url, seconds, *_PROBED)
    probed = _result(probes)
    left = cores.left()
    recovered_s = recovery_s(url, photo, usual_s)
    load = _result(generator)
    nothing = {"count": 0, "p50_ms": float("inf"), "p99_ms": float("inf")}
    good, refused = (load["statuses"].get(status, nothing) for status in ("200", "429"))
    responses = sum(status["count"] for status in load["statuses"].values())
    goodput = good["count"] / load["seconds"]
    return {
        "factor": factor,
        "offered/s": responses / load["seconds"],
        "goodput/s": goodput,
        "load cores": load["cores"] + probed["cores"],
        "cores left": left,
        "share": goodput / (full * left / available_cores()),
        "200 p50": good["p50_ms"],
        "200 p99": good["p99_ms"],
        "429 p50": refused["p50_ms"],
        "429 p99": refused["p99_ms"],
        "livez p99": percentile(probed["latencies_ms"]["/livez"], 99),
        "readyz p99": percentile(probed["latencies_ms"]["/readyz"], 99),
        "recovery s": recovered_s,
        "other": responses - good["count"] - refused["count"],
        "lost": load["lost"],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--tree", type=Path, default=ROOT)
    parser.add_argument("--models", type=Path)
    options = parser.parse_args()
    tree: Path = options.tree.resolve()
    with serving_one_photo(options.photos, tree, options.models) as (process, url, file):
        idle = _result(_spawn("benchmarks.hardening.probes", url, 4, "/livez"))
        livez_ms = percentile(idle["latencies_ms"]["/livez"], 99)
        rows = []
        for factor in options.factors:
            full = capacity(process, url, file.parent, 3)
            row = {
                "capacity/s": full,
                **overload(process, url, file, factor, full, options.seconds),
            }
            print(json.dumps({k: round(v, 2) for k, v in row.items()}), file=sys.stderr)
            rows.append(row)
    print(f"{describe()}; {available_cores()} cores\n")
    print(f"/livez on the idle service: p99 {livez_ms:.2f} ms\n")
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{row[name]:.4g}" for name in names) + " |")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
