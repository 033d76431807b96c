"""Send mixed traffic for minutes, and report whether memory, descriptors or threads grow.

    python -m benchmarks.hardening.soak [--minutes 30] [--clients 8] [--round-s 3]

    rounds: clients send `traffic` for a while -> all stop -> the server rests -> memory is read

Memory is read at rest, so requests in progress don't count. The slope is that of a straight line
through the rounds after the warm-up, the first third. Its standard error is that of blocks of
rounds, since neighbouring rounds are alike. The exit status is 1 if a response was wrong, if the
slope is over three standard errors, or if descriptors or threads grew. Linux only.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hardening.slow_client_load import PHOTO
from benchmarks.hardening.slow_clients import ROOT, Server, start
from benchmarks.hardening.traffic import Client, Kind, kinds
from benchmarks.processor import describe

WARM_UP = 1 / 3
"""The share of the time that the slope leaves out."""
BLOCKS = 12
MAX_ERRORS = 3.0
"""The number of standard errors by which a slope must differ from zero to count as growth."""
_REST_S = 1.0
_MAX_REST_S = 30.0
_SHOWN = 12
_MORE_THREADS = 2
"""Threads and descriptors may differ by so many from one rest to the other."""


@dataclass(frozen=True)
class Rest:
    """The server between two rounds."""

    minutes: float
    memory_mb: float
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Slope:
    """The growth of memory, and the standard error of it, in MB a minute."""

    mb_per_minute: float
    standard_error: float

    @property
    def is_growth(self) -> bool:
        """True if it is told from zero."""
        return self.mb_per_minute > MAX_ERRORS * self.standard_error


def slope(rests: Sequence[Rest], blocks: int = BLOCKS) -> Slope:
    """Return the slope of memory after the warm-up, through the means of `blocks` blocks."""
    kept = [rest for rest in rests if rest.minutes >= WARM_UP * rests[-1].minutes]
    points = np.array([(rest.minutes, rest.memory_mb) for rest in kept])
    means = np.array([part.mean(axis=0) for part in np.array_split(points, min(blocks, len(kept)))])
    minutes, memory = means[:, 0] - means[:, 0].mean(), means[:, 1] - means[:, 1].mean()
    squares = float((minutes**2).sum())
    growth = float((minutes * memory).sum()) / squares
    variance = float(((memory - growth * minutes) ** 2).sum()) / (len(means) - 2)
    return Slope(growth, (variance / squares) ** 0.5)


class Soak:
    """Clients of a server, in rounds.

    Args:
        server: the server.
        clients: how many send at the same time.
    """

    def __init__(self, server: Server, clients: int) -> None:
        self._server = server
        all_kinds = kinds(PHOTO)
        self._clients = [Client(server.port, all_kinds, seed) for seed in range(clients)]
        self._lock = threading.Lock()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.wrong: Counter[str] = Counter()

    def send_for(self, seconds: float) -> None:
        """Let all clients send for so long, and wait for their last responses."""
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._send_until, args=(client, end))
            for client in self._clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_until(self, client: Client, end: float) -> None:
        while time.monotonic() < end:
            try:
                kind, status = client.send()
            except (OSError, http.client.HTTPException) as err:
                client.close()
                with self._lock:
                    self.wrong[repr(err)] += 1
            else:
                self._count(kind, status)
        client.close()

    def _count(self, kind: Kind, status: int) -> None:
        with self._lock:
            self.statuses[kind.name, status] += 1
            if not kind.is_abandoned and status not in kind.right:
                self.wrong[f"{kind.name}: {status}"] += 1

    def rest(self, began: float) -> Rest:
        """Wait until the server does nothing, and look at it."""
        process = self._server.process
        deadline = time.monotonic() + _MAX_REST_S
        used_s, pause_s = process.cpu_s(), _REST_S / 4
        while time.monotonic() < deadline:
            time.sleep(pause_s)
            before_s, used_s = used_s, process.cpu_s()
            if used_s - before_s < pause_s / 10:
                break
        folder = Path("/proc", str(process.pid))
        return Rest(
            (time.monotonic() - began) / 60,
            process.pss_mb(),
            len(list((folder / "fd").iterdir())),
            len(list((folder / "task").iterdir())),
        )


def run(minutes: float, clients: int, round_s: float, **settings: str) -> tuple[Soak, list[Rest]]:
    """Soak a new server with these variables; return the counts and what each rest showed."""
    server = start(**settings)
    try:
        soak = Soak(server, clients)
        rests = []
        began = time.monotonic()
        while time.monotonic() < began + 60 * minutes:
            soak.send_for(round_s)
            rests.append(soak.rest(began))
    finally:
        server.process.stop()
    return soak, rests


def grown(rests: Sequence[Rest]) -> list[str]:
    """Return which of memory, descriptors and threads have grown since the warm-up."""
    kept = [rest for rest in rests if rest.minutes >= WARM_UP * rests[-1].minutes]
    found = ["memory"] if slope(rests).is_growth else []
    for name in ("descriptors", "threads"):
        counts = [getattr(rest, name) for rest in kept]
        if statistics.median(counts[len(counts) // 2 :]) > min(counts) + _MORE_THREADS:
            found.append(name)
    return found


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--round-s", type=float, default=3.0)
    options = parser.parse_args()
    soak, rests = run(options.minutes, options.clients, options.round_s)
    growth = slope(rests)
    found = grown(rests)
    statuses = Counter[str]()
    for (_, status), count in soak.statuses.items():
        statuses[str(status or "abandoned")] += count
    report = {
        "requests": soak.statuses.total(),
        "statuses": dict(statuses.most_common()),
        "kinds": {f"{name} {status}": n for (name, status), n in sorted(soak.statuses.items())},
        "wrong": dict(soak.wrong),
        "rounds": len(rests),
        "memory MB, at equal times": [
            round(rests[(len(rests) - 1) * part // _SHOWN].memory_mb, 1)
            for part in range(_SHOWN + 1)
        ],
        "slope, MB a minute": round(growth.mb_per_minute, 3),
        "standard error": round(growth.standard_error, 3),
        "descriptors": [rests[0].descriptors, rests[-1].descriptors],
        "threads": [rests[0].threads, rests[-1].threads],
        "grown": found,
    }
    print(describe())
    print(json.dumps(report, indent=2))
    sys.exit(bool(soak.wrong or found))


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
