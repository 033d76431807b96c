"""The variables of OpenTelemetry decide whether requests are traced, and how."""

import logging
import subprocess
import sys
import threading
import time

import pytest

from app.api.tracing import Tracing
from app.api.tracing import configuration as module
from app.api.tracing.configuration import create_tracing

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
URL = "http://127.0.0.1:9"
ATTRIBUTES = {"http.request.method": "POST", "url.path": "/"}


@pytest.fixture
def create(monkeypatch):
    """Returns what traces with these variables, which are set in the process, too."""

    def create(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return create_tracing(variables)

    return create


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: URL, "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: URL, "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["none", "empty", "disabled", "no exporter"],
)
def test_without_an_endpoint_nothing_is_traced_and_nothing_said(variables, caplog):
    assert create_tracing(variables) is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "no endpoint. Set OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({ENDPOINT: "collector:4318"}, "the endpoint is no URL. Begin it with http://"),
        ({ENDPOINT: URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc is not supported"),
        ({ENDPOINT: URL, "OTEL_TRACES_EXPORTER": "zipkin"}, "Set it to otlp or none"),
        ({ENDPOINT: URL, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "refuses its variables (max_queue"),
    ],
    ids=["no endpoint", "no URL", "protocol", "exporter", "refused by the SDK"],
)
def test_variables_that_can_not_be_used_are_one_line_in_the_log(
    create, caplog, variables, sentence
):
    assert create(**variables) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("No traces are sent: ")
    assert sentence in record.getMessage()


def test_variables_without_the_extra_are_one_line_that_names_it(monkeypatch, caplog):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert create_tracing({ENDPOINT: URL}) is None
    (record,) = caplog.records
    assert "pip install 'hubel[otel]'" in record.getMessage()


@pytest.mark.parametrize(
    ("sampler", "share"),
    [({"OTEL_TRACES_SAMPLER": "always_off"}, 0), ({}, 1), ("ratio", 0.1)],
    ids=["off", "default", "a tenth"],
)
def test_the_sampler_of_the_variables_decides_which_requests_are_traced(create, sampler, share):
    if sampler == "ratio":
        sampler = {
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
        }
    tracing = create(OTEL_EXPORTER_OTLP_ENDPOINT=URL, **sampler)
    began = time.monotonic()
    traces = [tracing.begin([], began, ATTRIBUTES) for _ in range(2000)]
    sampled = sum(trace is not None for trace in traces) / len(traces)
    assert sampled == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "hubel"),
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=till,team=a"}, "till"),
    ],
    ids=["default", "by its variable", "by the attributes"],
)
def test_the_service_has_a_name(create, variables, name):
    tracing = create(OTEL_EXPORTER_OTLP_ENDPOINT=URL, **variables)
    trace = tracing.begin([], time.monotonic(), ATTRIBUTES)
    assert trace._span.resource.attributes["service.name"] == name


def test_a_collector_that_does_not_respond_delays_the_end_by_a_bound(caplog):
    forever = threading.Event()
    began = time.monotonic()
    with Tracing(tracer=None, shutdown=forever.wait, flush_s=0.05):
        pass
    assert time.monotonic() - began < 30
    assert "not sent within 0.05 s" in caplog.text
    forever.set()


def test_the_sdk_is_not_imported_unless_it_is_used():
    code = (
        "import sys, app.main; from app.api.tracing.configuration import create_tracing\n"
        "assert create_tracing({}) is None\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'requests'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_log_has_no_secret_of_the_endpoint(create, caplog):
    caplog.set_level(logging.INFO, "hubel")
    url = "http://user:hush@127.0.0.1:9/v1?key=hush"
    tracing = create(**{ENDPOINT: url})
    with tracing:
        pass
    assert "Traces are sent to http://127.0.0.1:9/v1" in caplog.text
    assert "hush" not in "".join(r.getMessage() for r in caplog.records if r.name == "hubel")
