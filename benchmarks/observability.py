"""Measure what metrics, log lines, drift and traces cost: throughput and CPU time of a request.

    python -m benchmarks.observability [--rounds 30] [--seconds 2] [--clients 32] [--photos DIR]

One server runs, and in each round it is loaded once in each of four ways:

    bare    no metrics, no drift, no log lines, no traces: their functions return at once
    off     as installed: metrics, drift and log lines, no traces
    tenth   and traces, of which a tenth is sampled
    all     and traces of all requests

It is one process, since two that do the same differ by several per cent. Spans go to an HTTP server
in the benchmark's process that reads and drops them. Log lines are written to /dev/null. Printed,
in Markdown: the median throughput, how much less it is than that of `bare` in the same round (the
mean and its 95 % interval), and the same of the server's CPU time of a request, which other load on
the machine changes less. The table is renewed on stderr after each round.
"""

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import responds

if TYPE_CHECKING:
    from app.api.tracing import Tracing

GOLDEN = Path(__file__).parents[1] / "model" / "imagenet" / "golden"
BARE = "bare"
_RATIO = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
_SENT_SOON = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
"""Spans are sent in the period in which they were made."""
SAMPLERS: Mapping[str, Mapping[str, str] | None] = {
    BARE: None,
    "off": None,
    "tenth": _RATIO,
    "all": {},
}
"""The variables of the traces of each way; None: it has none."""
_WAYS = list(SAMPLERS)
_SIGNAL_S = 0.1
"""The time that a server has to change its way."""


class Sink(BaseHTTPRequestHandler):
    """A collector that drops what it receives."""

    def do_POST(self) -> None:
        """Read the body and accept it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


class Switch:
    """The way in which the server works; SIGUSR1 changes it to the next one."""

    def __init__(self) -> None:
        self.way = BARE
        signal.signal(signal.SIGUSR1, self._change)

    def _change(self, *_: object) -> None:
        self.way = _WAYS[(_WAYS.index(self.way) + 1) % len(_WAYS)]

    def unless_bare(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, which returns at once where the server is bare."""
        return lambda *values: None if self.way == BARE else function(*values)

    def traced(self, begin: Callable[..., Any], every: "Tracing") -> Callable[..., Any]:
        """Return `Tracing.begin`, by the way in which the server works."""

        def begin_if_traced(own: "Tracing", *values: Any) -> Any:
            if SAMPLERS[self.way] is None:
                return None
            return begin(every if self.way == "all" else own, *values)

        return begin_if_traced


def serve(port: int) -> None:
    """Serve until SIGTERM."""
    from app import logs
    from app.api.metrics import Metrics
    from app.api.middleware.request_context import RequestContext
    from app.api.prediction_metrics import PredictionMetrics
    from app.api.tracing import Tracing
    from app.api.tracing.configuration import create_tracing
    from app.runtime.drift import DriftMonitor
    from app.server import start
    from app.settings import Settings

    settings = Settings(port=port, drain_s=0, queue_wait_s=30)
    logs.configure("info", "json")
    switch = Switch()
    every = create_tracing(os.environ)
    assert every is not None
    os.environ.update(_RATIO)
    changed: list[tuple[Any, str]] = [
        (each, "observe") for each in (Metrics, PredictionMetrics, DriftMonitor)
    ]
    for owner, name in (*changed, (RequestContext, "_count_and_log")):
        setattr(owner, name, switch.unless_bare(getattr(owner, name)))
    Tracing.begin = switch.traced(Tracing.begin, every)  # type: ignore[method-assign]
    with every:
        start.serve(settings, start.bind("127.0.0.1", port))


def start_server(photo: bytes, collector: str) -> tuple[ServerProcess, str]:
    """Start the server, which is bare; return it with its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector, **_SENT_SOON}
    command = [sys.executable, "-m", "benchmarks.observability", "--serve", str(port)]
    return ServerProcess(command, traces, partial(responds, url, photo, form=False)), url


def measure(
    server: ServerProcess, url: str, folder: Path, clients: int, seconds: float
) -> tuple[float, float]:
    """Return the requests per second, and the server's CPU time of a request in ms."""
    before = server.cpu_s()
    load = [url, folder, clients, seconds, 0]
    command = [sys.executable, "-m", "benchmarks.serving.load", *map(str, load)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if set(done["statuses"]) != {"200"}:
        raise SystemExit(f"not every response is 200: {done['statuses']}")
    count = len(done["latencies_ms"])
    return count / seconds, (server.cpu_s() - before) / (done["before"] + count) * 1e3


def difference(values: Sequence[float], bare: Sequence[float]) -> tuple[float, float]:
    """Return the mean relative difference of pairs, and half of its 95 % interval."""
    shares = [value / base - 1 for value, base in zip(values, bare, strict=True)]
    if len(shares) == 1:
        return shares[0], math.inf
    return statistics.mean(shares), 1.96 * statistics.stdev(shares) / math.sqrt(len(shares))


def table(measured: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return the table, in Markdown."""
    lines = [
        "| way | requests/s | than bare | CPU ms a request | than bare |",
        "|---|---|---|---|---|",
    ]
    bare = list(zip(*measured[BARE], strict=True))
    for variant, pairs in measured.items():
        cells = []
        for values, base in zip(zip(*pairs, strict=True), bare, strict=True):
            mean, half = difference(values, base)
            cells.append(f"{statistics.median(values):.2f}")
            cells.append("" if variant == BARE else f"{mean:+.1%} ± {half:.1%}")
        lines.append(f"| {' | '.join([variant, *cells])} |")
    return "\n".join(lines)


def run(photos: Path, rounds: int, seconds: float, clients: int) -> str:
    """Measure all ways in turns, and return the table."""
    sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    collector = f"http://127.0.0.1:{sink.server_port}"
    measured: dict[str, list[tuple[float, float]]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, file in enumerate(files):
            (folder / f"{number:05d}.jpg").write_bytes(file.read_bytes())
        server, url = start_server(files[0].read_bytes(), collector)
        now = BARE

        def measure_way(way: str) -> tuple[float, float]:
            nonlocal now
            while now != way:
                os.kill(server.pid, signal.SIGUSR1)
                time.sleep(_SIGNAL_S)
                now = _WAYS[(_WAYS.index(now) + 1) % len(_WAYS)]
            return measure(server, url, folder, clients, seconds)

        try:
            measure_way(BARE)  # not counted: caches are cold
            for number in range(rounds):
                for way in _WAYS if number % 2 else reversed(_WAYS):
                    measured[way].append(measure_way(way))
                print(f"{table(measured)}\n", file=sys.stderr, flush=True)
        finally:
            server.stop()
            sink.shutdown()
    return table(measured)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--photos", type=Path, default=GOLDEN)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    print(describe(), end="\n\n", flush=True)
    print(run(options.photos, options.rounds, options.seconds, options.clients))


if __name__ == "__main__":
    main()
