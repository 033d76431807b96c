"""What keys, limits, TLS and CORS cost one client, in turns.

    python -m benchmarks.access_overhead [--rounds 15] [--seconds 0.4] [--before DIR]

A server for each row, one client on one connection that sends again after each response: a photo
of 480 by 480, and /livez, which runs no model. In each round every server has a window, in an order
that changes. A share is the median over the rounds of a row's requests divided by those of the
first row in the same round. The CPU time is the server's, of all windows; other work on the machine
disturbs it less. `--before` adds another working tree of this repository. Linux only.
"""

import argparse
import os
import random
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.hardening.named_keys import MAIN, hubel_keys
from benchmarks.hardening.slow_client_load import PHOTO
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port

ROOT = Path(__file__).resolve().parents[1]
CERTIFICATES = ROOT / "tests" / "server" / "certificates"
_PATHS = ("/api/v1/classify", "/livez")


@dataclass(frozen=True)
class Row:
    """A server and what its client sends."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    tree: Path = ROOT


def rows(folder: Path, before: Path | None) -> list[Row]:
    """Return the rows; `folder` gets the keys file."""
    file = folder / "keys.json"
    hubel = hubel_keys(file)
    unlimited = hubel("add", "unlimited")
    limits = ("--requests-per-second", "--images-per-minute", "--concurrent-requests")
    limited = hubel("add", "limited", *(text for limit in limits for text in (limit, "1000000")))
    keyed = {"HUBEL_KEYS_FILE": str(file)}
    certificate = {
        "HUBEL_TLS_CERT": str(CERTIFICATES / "one.pem"),
        "HUBEL_TLS_KEY": str(CERTIFICATES / "one.key"),
    }
    origin = "https://shop.example"
    return [
        Row("no setting"),
        *([Row("the tree before", tree=before)] if before else []),
        Row("named key, unlimited", keyed, {"X-API-Key": unlimited}),
        Row("named key, three limits", keyed, {"X-API-Key": limited}),
        Row("CORS, with an origin", {"HUBEL_CORS_ORIGINS": origin}, {"Origin": origin}),
        Row(
            "root path and trusted proxy",
            {"HUBEL_ROOT_PATH": "/hubel", "HUBEL_TRUSTED_PROXIES": "127.0.0.1"},
        ),
        Row("TLS", certificate),
    ]


def _start(stack: ExitStack, row: Row) -> tuple[httpx.Client, ServerProcess]:
    port = free_port()
    scheme = "https" if "HUBEL_TLS_CERT" in row.environment else "http"
    trusted = ssl.create_default_context(cafile=CERTIFICATES / "one.pem")
    client = stack.enter_context(
        httpx.Client(
            base_url=f"{scheme}://127.0.0.1:{port}", headers=row.headers, verify=trusted, timeout=60
        )
    )

    def is_ready() -> bool:
        try:
            return client.get("/readyz").is_success
        except httpx.TransportError:
            return False

    environment = {
        **row.environment,
        "PYTHONPATH": str(row.tree),
        "PYTHONSAFEPATH": "1",
        "HUBEL_DRAIN_S": "0",
        "HUBEL_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-c", MAIN, "serve", "--port", str(port)]
    process = ServerProcess(command, environment, is_ready)
    stack.callback(process.stop)
    return client, process


def requests_in(client: httpx.Client, path: str, seconds: float) -> tuple[int, float]:
    """Return the number of requests of one client in one window, and the window's seconds."""
    count, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        sent = client.get(path) if path == "/livez" else client.post(path, content=PHOTO)
        sent.raise_for_status()
        count += 1
    return count, elapsed


def main() -> None:
    """Measure all rows and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--before", type=Path)
    arguments = parser.parse_args()
    print(describe(), f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        measured = rows(Path(folder), arguments.before and arguments.before.resolve())
        started = [_start(stack, row) for row in measured]
        for path in _PATHS:
            rates: list[list[float]] = [[] for _ in measured]
            counts, cpu_s = [0] * len(measured), [0.0] * len(measured)
            for _ in range(arguments.rounds + 1):
                order = list(range(len(measured)))
                random.shuffle(order)
                for index in order:
                    client, process = started[index]
                    before_s = process.cpu_s()
                    count, elapsed = requests_in(client, path, arguments.seconds)
                    cpu_s[index] += process.cpu_s() - before_s
                    counts[index] += count
                    rates[index].append(count / elapsed)
            print(f"{path}: requests/s, share of the first row (quartiles), CPU ms a request")
            for index, (row, each) in enumerate(zip(measured, rates, strict=True)):
                shares = [a / b for a, b in zip(each[1:], rates[0][1:], strict=True)]
                low, middle, high = statistics.quantiles(shares, n=4)
                print(
                    f"  {row.name:28} {statistics.median(each[1:]):7.1f}  {middle:.3f} "
                    f"({low:.3f} to {high:.3f})  {cpu_s[index] / counts[index] * 1e3:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
