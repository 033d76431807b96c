"""benchmarks/observability.py compares servers in turns."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.api.tracing import Tracing
from benchmarks import observability, observability_cpu


def test_the_difference_is_the_mean_of_pairs_of_one_round():
    mean, half = observability.difference([98, 196], [100, 200])
    assert (mean, half) == (pytest.approx(-0.02), pytest.approx(0))


def test_the_table_compares_with_the_bare_server():
    pairs = {"bare": [(100.0, 5.0), (102.0, 5.2)], "all": [(95.0, 5.5), (96.9, 5.7)]}
    bare, every = observability.table(pairs).splitlines()[2:]
    assert bare == "| bare | 101.00 |  | 5.10 |  |"
    assert every == "| all | 95.95 | -5.0% ± 0.0% | 5.60 | +9.8% ± 0.4% |"


def test_every_function_that_the_bare_server_replaces_exists():
    from app.api.metrics import Metrics
    from app.api.middleware.request_context import RequestContext
    from app.api.prediction_metrics import PredictionMetrics
    from app.runtime.drift import DriftMonitor

    for owner, name in (
        (Metrics, "observe"),
        (PredictionMetrics, "observe"),
        (DriftMonitor, "observe"),
        (RequestContext, "_count_and_log"),
    ):
        assert name in vars(owner)


def test_a_request_is_traced_as_the_service_traces_it():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observability_cpu.trace_one(Tracing(provider.get_tracer("test"), provider.shutdown))
    names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["queue", "decode", "resize", "run", "POST /api/v1/classify"]
