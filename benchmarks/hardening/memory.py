"""Attack a service in a memory cgroup with images that are large in memory, and watch it.

    python -m benchmarks.hardening.memory [FILE…] [--limit-mib 1024] [--seconds 30] [--clients 16]

A service with default settings runs in a real cgroup. First an ordinary photo is posted alone.
Then clients post the hostile FILES in turn (or generated ones), others send bodies that never end
(64 MB in total), and the ordinary photo is posted meanwhile. Printed are one JSON object: responses
by file and status, the peak of the process and of its cgroup, kills, and the photo's latencies.
"""

import http.client
import itertools
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.hardening.cgroup import memory_cgroup
from benchmarks.hardening.images import Size, bmp, jpeg_in_separate_scans, pillow, png

_CLASSIFY = "/api/v1/classify"
_BODY_BYTES = 16_000_000
_BODIES = 4
_TIMEOUT_S = 60


@dataclass
class Outcome:
    """The behaviour of a service under attack."""

    statuses: dict[str, dict[str, int]] = field(default_factory=dict)
    """Responses by file and status; `lost` where the connection ended without one."""
    kills: int = 0
    cgroup_peak_bytes: int = 0
    process_peak_bytes: int = 0
    alone_ms: dict[str, float] = field(default_factory=dict)
    """p50 and p99 of an ordinary photo alone."""
    attacked_ms: dict[str, float] = field(default_factory=dict)
    """The same during the attack."""
    photo_statuses: dict[str, int] = field(default_factory=dict)
    load_cores: float = 0.0
    """Cores that the attacking clients kept busy: the service doesn't have them."""


def generated(pixels: int = 49_000_000) -> dict[str, bytes]:
    """Return hostile files of every format, by name."""
    side = int(pixels**0.5)
    square: Size = (side, side)
    return {
        "bmp 1 x N": bmp((1, pixels), 1),
        "png 1 x N": png((1, pixels), "grey", 8),
        "png N x 1": png((pixels, 1), "grey", 8),
        "png tall within the limit": png((pixels // 60_000, 60_000), "rgb", 8),
        "png rgba 16 interlaced": png(square, "rgba", 16, interlaced=True),
        "png grey 16 key": png(square, "grey", 16, key=True),
        "webp": pillow("WEBP", "RGB", square, method=0),
        "webp lossless": pillow("WEBP", "RGBA", (side // 2, side // 2), lossless=True, method=0),
        "gif": pillow("GIF", "P", square, transparency=3),
        "jpeg progressive": pillow("JPEG", "RGB", square, progressive=True, subsampling=0),
        "jpeg separate scans": jpeg_in_separate_scans(square),
    }


def post(port: int, body: bytes) -> str:
    """Post an image and return the status, or `lost`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", _CLASSIFY, body, {"Content-Type": "image/x"})
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return "lost"
    else:
        return str(response.status)
    finally:
        connection.close()


def time_photo(port: int, photo: bytes, seconds: float) -> tuple[list[float], Counter[str]]:
    """Post a photo again and again; return the milliseconds of accepted ones, and all statuses."""
    times_ms, statuses = [], Counter[str]()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        status = post(port, photo)
        statuses[status] += 1
        if status == "200":
            times_ms.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.02)
    return times_ms, statuses


def attack(port: int, files: dict[str, bytes], photo: bytes, outcome: Outcome, clients: int,
           seconds: float) -> None:  # fmt: skip
    """Attack the service on `port` and record what it did."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in files}
    turns = itertools.cycle(files)

    def post_files() -> None:
        while time.perf_counter() < end:
            name = next(turns)
            status = post(port, files[name])
            counted[name][status] += 1
            if status == "429":
                time.sleep(0.1)

    threads = [threading.Thread(target=post_files) for _ in range(clients)]
    # In a process of its own the photo doesn't wait for the attackers' interpreter.
    with ProcessPoolExecutor(1, get_context("spawn")) as timer:
        outcome.alone_ms = _percentiles(
            timer.submit(time_photo, port, photo, seconds / 3).result()[0]
        )
        with _unfinished_bodies(port):
            busy_s = time.process_time()
            end = time.perf_counter() + seconds
            for thread in threads:
                thread.start()
            times_ms, statuses = timer.submit(time_photo, port, photo, seconds).result()
            outcome.load_cores = round((time.process_time() - busy_s) / seconds, 2)
            for thread in threads:
                thread.join()
    outcome.attacked_ms = _percentiles(times_ms)
    outcome.photo_statuses = dict(statuses)
    outcome.statuses = {name: dict(counter) for name, counter in counted.items()}


def run(
    files: dict[str, bytes], photo: bytes, limit_bytes: int, clients: int, seconds: float
) -> Outcome:
    """Start a service in a cgroup, attack it, and return what it did.

    Raises:
        NoCgroup: this system lets this process create no memory cgroup.
    """
    outcome = Outcome()
    serve = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", "0"]
    with memory_cgroup(limit_bytes) as cgroup, tempfile.NamedTemporaryFile() as log:
        server = subprocess.Popen(cgroup.enter(*serve), stderr=log)
        try:
            port = _port_of(server, Path(log.name))
            attack(port, files, photo, outcome, clients, seconds)
            outcome.process_peak_bytes = _peak_bytes(server.pid)
        finally:
            outcome.kills = cgroup.kills
            outcome.cgroup_peak_bytes = cgroup.peak_bytes
            server.terminate()
            server.wait(30)
    return outcome


def _port_of(server: "subprocess.Popen[bytes]", log: Path) -> int:
    """Wait until the service has logged its address, and return the port."""
    end = time.monotonic() + _TIMEOUT_S
    while server.poll() is None and time.monotonic() < end:
        if match := re.search(r"answers at http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(match[1])
        time.sleep(0.1)
    raise SystemExit("The service does not start. Try `hubel serve`.")


def _peak_bytes(pid: int) -> int:
    """Return the peak of the resident memory; 0 if the process was killed."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


@contextmanager
def _unfinished_bodies(port: int) -> Iterator[None]:
    """Send bodies without their last byte, and leave them open."""
    head = f"POST {_CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: {_BODY_BYTES}\r\n\r\n"
    connections = []
    try:
        for _ in range(_BODIES):
            connection = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
            connections.append(connection)
            connection.sendall(head.encode() + bytes(_BODY_BYTES - 1))
        yield
    finally:
        for connection in connections:
            connection.close()


def _percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    if len(times_ms) < 2:  # noqa: PLR2004
        return {}
    cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1), "count": len(times_ms)}


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--limit-mib", default=1024, show_default=True, help="Limit of the cgroup.")
@click.option("--clients", default=16, show_default=True, help="Clients that send hostile files.")
@click.option("--seconds", default=30.0, show_default=True, help="Length of the attack.")
def main(files: tuple[Path, ...], limit_mib: int, clients: int, seconds: float) -> None:
    """Attack a service in a memory cgroup with FILES, or with generated ones."""
    hostile = {file.name: file.read_bytes() for file in files} or generated()
    photo = pillow("JPEG", "RGB", (480, 480), quality=85)
    outcome = run(hostile, photo, limit_mib << 20, clients, seconds)
    print(json.dumps(asdict(outcome), indent=2))


if __name__ == "__main__":
    main()
