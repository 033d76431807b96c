"""Measure the CPU time of a request that metrics, drift, log line and traces take, in one process.

    python -m benchmarks.observability_cpu [--requests 3000]

The parts are called as the service calls them, without HTTP; spans are exported to a server in this
process that drops them, which counts, too. CPU time depends less on other load of the machine than
the throughput that benchmarks/observability.py measures. Printed, in Markdown: microseconds a
request, and their share of the CPU time of `classify` on a golden photo.
"""

import argparse
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from http.server import ThreadingHTTPServer

from app import vision
from app.api.middleware.request_context import RequestContext, RequestRecord
from app.api.tracing import Tracing
from app.api.tracing.configuration import create_tracing
from app.logs import JsonFormatter
from app.main import create_service
from app.runtime.classifier import Query, classify
from app.runtime.engine import Turn
from app.settings import Settings
from benchmarks.observability import GOLDEN, SAMPLERS, Sink
from benchmarks.processor import describe

_ROUTE = "/api/v1/classify"
_PHOTO = "chelsea.jpg"
_RUNS = 50
_LIMITS = vision.Limits(2**28, 200_000_000, 65_535)
_SCOPE = {
    "method": "POST",
    "path": _ROUTE,
    "headers": [(b"host", b"hubel"), (b"content-type", b"image/jpeg"), (b"accept", b"*/*")],
    "state": {},
    "client": ("127.0.0.1", 1),
}


def cpu_us(call: Callable[[], object], times: int) -> float:
    """Return the CPU time of this process for one call, in microseconds."""
    call()
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times * 1e6


def trace_one(tracing: Tracing) -> None:
    """Trace a request of one photo that does nothing."""
    attributes = {"http.request.method": "POST", "url.path": _ROUTE}
    trace = tracing.begin(_SCOPE["headers"], time.monotonic(), attributes)
    if trace is None:
        return
    for job in trace.around([_do_nothing]):
        job(Turn())
    learnt = {"http.route": _ROUTE, "http.response.status_code": 200, "hubel.request_id": "0" * 32}
    trace.end(f"POST {_ROUTE}", 200, None, learnt)


def _do_nothing(turn: Turn) -> None:
    turn.check("resize")
    turn.check("run")


def traced_us(variables: Mapping[str, str], times: int) -> float:
    """Return the CPU time of a request's trace, with the export of its spans."""
    os.environ.update({"OTEL_BSP_MAX_QUEUE_SIZE": "1000000", **variables})
    tracing = create_tracing(os.environ)
    assert tracing is not None
    began = time.process_time()
    with tracing:
        for _ in range(times):
            trace_one(tracing)
    return (time.process_time() - began) / times * 1e6


def log_to_nowhere() -> None:
    """Write the log as JSON to the null device."""
    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level="INFO", handlers=[handler], force=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=3000)
    times = parser.parse_args().requests
    log_to_nowhere()
    service = create_service(Settings())
    service.registry.load_all()
    model = service.registry.resolve(None, None)
    photo = (GOLDEN / _PHOTO).read_bytes()
    result = classify(photo, model, Query(), _LIMITS)
    context = RequestContext(
        app=lambda *_: None,
        metrics=service.metrics,
        tracing=None,
        is_draining=lambda: False,
        unexpected_response=lambda *_: None,
    )

    def count_and_log() -> None:
        record = RequestRecord("0" * 32, model="imagenet", version=1, status=200, images=1)
        record.add(result.stages)
        service.metrics.observe(result)
        service.metrics.predictions.observe(result, model)
        service.drift.observe(result, model)
        context._count_and_log(_SCOPE, _ROUTE, record)

    sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.server_port}"}
    photo_us = cpu_us(lambda: classify(photo, model, Query(), _LIMITS), _RUNS)
    base_us = cpu_us(count_and_log, times)
    rows = {"metrics, drift and log line": base_us}
    for name in ("tenth", "all"):
        rows[f"and traces: {name}"] = base_us + traced_us({**endpoint, **SAMPLERS[name]}, times)
        for variable in SAMPLERS[name]:
            del os.environ[variable]
    print(f"{describe()}\n\nclassify: {photo_us / 1e3:.2f} ms\n\n| | µs | share |\n|---|---|---|")
    for name, taken_us in rows.items():
        print(f"| {name} | {taken_us:.0f} | {taken_us / photo_us:.1%} |")


if __name__ == "__main__":
    main()
