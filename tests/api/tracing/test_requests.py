"""Requests are traced: their spans, their place in the client's trace, log line and exemplar."""

import logging
import re
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from app.api.tracing import Tracing

CLASSIFY = "/api/v1/classify"
REQUEST = f"POST {CLASSIFY}"
STAGES = ["queue", "decode", "resize", "run"]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Traced:
    """A service whose spans are kept in memory, and a client of it."""

    def __init__(self, client, exporter):
        self.client = client
        self._exporter = exporter

    def post(self, **arguments):
        """Return the response, the request's span, and its other spans in order of time."""
        self._exporter.clear()
        response = self.client.post(CLASSIFY, **arguments)
        self.client.get("/livez")  # its turn comes after the end of the request before it
        spans = self._exporter.get_finished_spans()
        (request,) = [span for span in spans if span.name == REQUEST]
        rest = sorted((span for span in spans if span is not request), key=lambda s: s.start_time)
        return response, request, rest


@pytest.fixture(scope="module")
def traced(module_serve, module_bundle_maker, tmp_path_factory):
    root = tmp_path_factory.mktemp("traces")
    module_bundle_maker(root)()
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider.get_tracer("hubel"), provider.shutdown)
    with module_serve(root, tracing=tracing) as client:
        yield Traced(client, exporter)


def test_a_request_has_a_span_and_its_stages_are_the_children(traced, photo):
    response, request, stages = traced.post(content=photo("red"))
    assert [span.name for span in stages] == STAGES
    assert {span.parent.span_id for span in stages} == {request.context.span_id}
    for stage, following in pairwise(stages):
        assert stage.end_time == following.start_time
    assert request.start_time <= stages[0].start_time
    assert stages[-1].end_time <= request.end_time
    assert stages[-1].attributes["thread.name"].startswith("engine-")
    expected = {
        "http.request.method": "POST",
        "http.route": CLASSIFY,
        "url.path": CLASSIFY,
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
        "hubel.request_id": response.headers["x-request-id"],
        "hubel.model": "colours",
        "hubel.version": 1,
        "hubel.images": 1,
    }
    assert dict(request.attributes) == expected


def test_a_request_continues_the_trace_of_its_client(traced, photo, caplog):
    caplog.set_level(logging.INFO, "hubel.request")
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "from-the-shop"}
    response, request, _ = traced.post(content=photo("red"), headers=headers)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    span = f"{request.context.span_id:016x}"
    assert response.headers["traceresponse"] == f"00-{TRACE}-{span}-01"
    (fields,) = [r.fields for r in caplog.records if r.fields["request_id"] == "from-the-shop"]
    assert fields["trace_id"] == TRACE


def test_a_client_decides_that_its_trace_is_not_sampled_and_the_log_has_its_id(
    traced, photo, caplog
):
    caplog.set_level(logging.INFO, "hubel.request")
    traced._exporter.clear()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-00", "x-request-id": "not-sampled"}
    response = traced.client.post(CLASSIFY, content=photo("red"), headers=headers)
    assert response.headers["traceresponse"].startswith(f"00-{TRACE}-")
    traced.client.get("/livez")
    assert not traced._exporter.get_finished_spans()
    (fields,) = [r.fields for r in caplog.records if r.fields["request_id"] == "not-sampled"]
    assert fields["trace_id"] == TRACE


def test_a_broken_traceparent_begins_a_new_trace(traced, photo):
    _, request, stages = traced.post(content=photo("red"), headers={"traceparent": "00-7-8-9"})
    assert request.parent is None
    assert len(stages) == len(STAGES)


def test_each_image_of_a_batch_has_its_stages_and_a_bad_one_ends_with_its_error(traced, photo):
    files = [("file", ("a", photo("red"))), ("file", ("b", photo("blue")[:99]))]
    _, request, stages = traced.post(files=files)
    assert request.attributes["hubel.images"] == 2
    good, bad = ([s for s in stages if s.attributes["hubel.image"] == i] for i in (0, 1))
    assert [span.name for span in good] == STAGES
    assert [span.name for span in bad] == ["queue", "decode"]
    assert bad[-1].attributes["error.type"] == "broken_image"
    assert not bad[-1].status.is_ok
    assert request.status.is_unset


def test_each_crop_of_a_photo_has_stages_and_the_photo_waits_once(traced, photo):
    _, _, stages = traced.post(
        content=photo("red"), params={"crop": ["0,0,240,240", "100,100,90,90"]}
    )
    assert [span.name for span in stages] == [*STAGES, *STAGES[1:]]


def test_an_explanation_has_the_same_stages(traced, photo):
    traced._exporter.clear()
    traced.client.post("/api/v1/explain", content=photo("red"))
    traced.client.get("/livez")
    names = [span.name for span in traced._exporter.get_finished_spans()]
    assert names == [*STAGES, "POST /api/v1/explain"]


def test_an_error_of_a_request_is_in_its_span(traced, photo):
    _, request, stages = traced.post(content=photo("red"), params={"model": "none"})
    assert request.attributes["error.type"] == "unknown_model"
    assert request.attributes["http.response.status_code"] == 404
    assert not stages


def test_probes_are_not_traced(traced):
    traced._exporter.clear()
    for route in ("/livez", "/readyz", "/metrics", "/ping", "/v2/health/ready"):
        assert "traceresponse" not in traced.client.get(route).headers
    assert not traced._exporter.get_finished_spans()


def test_openmetrics_has_the_last_request_of_each_bucket_as_exemplar(traced, photo):
    response, request, _ = traced.post(content=photo("red"))
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1"
    exposition = traced.client.get("/metrics", headers={"accept": accept})
    assert exposition.headers["content-type"].startswith("application/openmetrics-text")
    families = {each.name: each for each in text_string_to_metric_families(exposition.text)}
    exemplars = [
        sample.exemplar.labels
        for sample in families["hubel_request_seconds"].samples
        if sample.exemplar and sample.labels["route"] == CLASSIFY
    ]
    ids = {
        "request_id": response.headers["x-request-id"],
        "trace_id": f"{request.context.trace_id:032x}",
    }
    assert ids in exemplars
    text = traced.client.get("/metrics", headers={"accept": "text/plain"}).text
    assert not re.search(r"^hubel_request_seconds_bucket.* # ", text, re.MULTILINE)


def test_a_long_request_id_is_left_out_of_the_exemplar(traced, photo):
    response, request, _ = traced.post(content=photo("red"), headers={"x-request-id": "i" * 128})
    assert response.status_code == 200
    accept = {"accept": "application/openmetrics-text"}
    text = traced.client.get("/metrics", headers=accept).text
    assert f'# {{trace_id="{request.context.trace_id:032x}"}}' in text
