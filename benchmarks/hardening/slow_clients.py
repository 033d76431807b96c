"""Slow clients against a service, and what they cost a normal one.

    python -m benchmarks.hardening.slow_clients [--seconds S] [--rounds N] [--tree DIR] [KIND …]

Each row loads a service with one kind of clients, in a process of their own. One normal client
posts a photo of 480 by 480, again after each response, in turns of half a second: to this service,
and to another one that nobody attacks, while the attack rests. So other work on the machine
disturbs both alike. A figure is the median over the rounds.
`stalled` is the number of slow clients whose responses or requests wait at the end; `MB` is the
growth of the server's memory with them. Linux only.

The last rows are controls: clients that read what they request, and no longer slow.
"""

import argparse
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hardening.slow_client_load import CLASSIFY, KINDS, PHOTO, POST, Kind
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import responds

ROOT = Path(__file__).resolve().parents[2]
TURN_S = 0.5
SERVE = "from app.cli import main; main()"


def latencies_ms(port: int, seconds: float) -> list[float]:
    """Return the milliseconds of each photo that a normal client posts, one after the other."""
    measured = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.sendall(POST)
            received = b""
            while b'"predictions"' not in received or not received.endswith(b"}"):
                if not (more := connection.recv(65536)):
                    raise SystemExit(
                        f"the service closed a normal client's connection: {received!r}"
                    )
                received += more
            if not received.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"a normal client got {received[:200]!r}")
            measured.append((time.perf_counter() - began) * 1e3)
    return measured


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all are not above."""
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: ServerProcess
    port: int


@dataclass(frozen=True)
class Row:
    """A normal client's latencies alone and beside slow clients."""

    alone_ms: list[float]
    beside_ms: list[float]
    stalled: int
    more_mb: float

    def ratio(self, share: float) -> float:
        """Return the percentile beside slow clients, in units of the one alone."""
        return percentile(self.beside_ms, share) / percentile(self.alone_ms, share)


def measure(kind: Kind, alone: Server, attacked: Server, clients: int, seconds: float) -> Row:
    """Measure a normal client on both servers in turns; the attack rests in those of `alone`."""
    before = attacked.process.pss_mb()
    command = [sys.executable, "-m", "benchmarks.hardening.slow_client_load"]
    command += [kind.name, str(attacked.port), str(clients)]
    attack = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert attack.stdin
    assert attack.stdout
    alone_ms: list[float] = []
    beside_ms: list[float] = []
    try:
        attack.stdout.readline()
        for _ in range(round(seconds / TURN_S)):
            attack.send_signal(signal.SIGSTOP)
            alone_ms += latencies_ms(alone.port, TURN_S)
            attack.send_signal(signal.SIGCONT)
            beside_ms += latencies_ms(attacked.port, TURN_S)
        more_mb = attacked.process.pss_mb() - before
        attack.stdin.close()
        stalled = int(attack.stdout.readline())
    finally:
        attack.kill()
        attack.wait()
        attack.stdout.close()
    return Row(alone_ms, beside_ms, stalled, more_mb)


def start(tree: Path = ROOT, **settings: str) -> Server:
    """Start a working tree's server with these variables, and let it warm up."""
    port = free_port()
    command = [sys.executable, "-c", SERVE, "serve", "--port", str(port)]
    environment = {
        "PYTHONPATH": str(tree),
        "PYTHONSAFEPATH": "1",  # else the current folder's `app` comes first
        "HUBEL_DRAIN_S": "0",
        "HUBEL_LOG_LEVEL": "warning",
        **settings,
    }
    url = f"http://127.0.0.1:{port}{CLASSIFY}"
    process = ServerProcess(command, environment, lambda: responds(url, PHOTO, form=False))
    latencies_ms(port, TURN_S)
    return Server(process, port)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of clients")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another working tree to serve")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if not options.kinds or kind.name in options.kinds]
    rows: dict[str, list[Row]] = {kind.name: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            alone, attacked = start(options.tree), start(options.tree)
            try:
                clients = max(1, round(kind.clients * options.scale))
                rows[kind.name].append(measure(kind, alone, attacked, clients, options.seconds))
            finally:
                alone.process.stop()
                attacked.process.stop()
            print(f"{kind.name}: p99 {rows[kind.name][-1].ratio(0.99):.2f}", file=sys.stderr)
    print(f"{describe()}\n")
    print("| clients | | p99 alone, ms | p99 beside, ms | ratio p99 | ratio p50 | stalled | MB |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        of = rows[kind.name]
        figures = (
            statistics.median(percentile(row.alone_ms, 0.99) for row in of),
            statistics.median(percentile(row.beside_ms, 0.99) for row in of),
            statistics.median(row.ratio(0.99) for row in of),
            statistics.median(row.ratio(0.5) for row in of),
        )
        stalled = statistics.median(row.stalled for row in of)
        more_mb = statistics.median(row.more_mb for row in of)
        cells = " | ".join(f"{figure:.2f}" for figure in figures)
        count = round(kind.clients * options.scale)
        print(f"| {kind.name} | {count} | {cells} | {stalled:.0f} | {more_mb:.0f} |")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
