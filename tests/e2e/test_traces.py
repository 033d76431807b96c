"""One request is found in the log, in the trace and in the metrics, by the same ids."""

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.e2e.otlp_collector import Collector

pytestmark = pytest.mark.e2e

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
IDS = {"request_id": "order-4711", "trace_id": TRACE}


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def service(start, collector):
    return start(
        HUBEL_DRAIN_S="0",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer of-the-collector",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_SERVICE_NAME="photos-of-the-shop",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0",  # of the requests that come without a trace
        OTEL_BSP_SCHEDULE_DELAY="600000",  # the end of the process sends them
    )


def test_one_photo_is_found_in_the_log_the_trace_and_the_metrics(service, collector, cat_photo):
    url = f"http://127.0.0.1:{service.port}"
    headers = {"x-request-id": IDS["request_id"], "traceparent": f"00-{TRACE}-{PARENT}-01"}
    with httpx.Client(base_url=url, timeout=120) as client:
        response = client.post("/api/v1/classify", content=cat_photo, headers=headers)
        client.post("/api/v1/classify", content=cat_photo)  # not sampled
        accept = {"accept": "application/openmetrics-text;version=1.0.0"}
        exposition = client.get("/metrics", headers=accept).text
    service.terminate()
    assert service.wait() == 0

    assert response.headers["x-request-id"] == IDS["request_id"]
    assert response.headers["traceresponse"].split("-")[1] == TRACE
    lines = [line for line in service.log() if line["message"] == "request"]
    (line,) = [line for line in lines if line.get("trace_id")]
    assert {name: line[name] for name in IDS} == IDS
    families = text_string_to_metric_families(exposition)
    buckets = [s for f in families if f.name == "hubel_request_seconds" for s in f.samples]
    assert [s.exemplar.labels for s in buckets if s.exemplar] == [IDS]

    (request,) = [span for span in collector.spans if span.name == "POST /api/v1/classify"]
    stages = [span for span in collector.spans if span is not request]
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert {span.service for span in collector.spans} == {"photos-of-the-shop"}
    assert request.parent_id == PARENT
    assert request.attributes["hubel.request_id"] == IDS["request_id"]
    assert [span.name for span in stages] == ["queue", "decode", "resize", "run"]
    assert {span.parent_id for span in stages} == {request.span_id}
    logged_ms = line["decode_ms"] + line["resize_ms"] + line["run_ms"]
    traced_ms = sum(span.end_ns - span.start_ns for span in stages[1:]) / 1e6
    assert traced_ms == pytest.approx(logged_ms, rel=0.5, abs=20)
    assert collector.headers[0]["authorization"] == "Bearer of-the-collector"


def test_a_collector_that_is_gone_fails_no_request_and_no_end(start, cat_photo):
    service = start(
        HUBEL_DRAIN_S="0",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    url = f"http://127.0.0.1:{service.port}/api/v1/classify"
    assert httpx.post(url, content=cat_photo, timeout=120).status_code == 200
    service.terminate()
    assert service.wait() == 0
    assert all("traceback" not in line for line in service.log())
