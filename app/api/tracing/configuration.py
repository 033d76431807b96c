"""The configuration of traces, by the standard variables of OpenTelemetry.

OTEL_* -> no endpoint, or switched off: None, and nothing is imported
       -> no SDK: None, and a warning that names the extra
       -> else: the SDK's provider, with a batch processor and an exporter for OTLP over HTTP

The SDK itself reads OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_* and the rest of
OTEL_EXPORTER_OTLP_*.
"""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from app import __version__
from app.api.tracing.request_trace import Tracing

log = logging.getLogger("hubel")

_PREFIX = "OTEL_"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_EXPORTERS = "OTEL_TRACES_EXPORTER"
_OTLP = "otlp"
_SERVICE = "hubel"


def create_tracing(environment: Mapping[str, str]) -> Tracing | None:
    """Return what traces requests, or None if requests are not traced.

    A variable that can't be used is logged; the service then starts without traces.

    Args:
        environment: the variables of the process, which the SDK reads, too.
    """
    if not _is_requested(environment):
        return None
    endpoint = _endpoint(environment)
    if reason := _unusable(environment, endpoint):
        log.warning("No traces are sent: %s", reason)
        return None
    try:
        tracing = _sdk_tracing(environment)
    except (ValueError, OSError) as err:
        log.warning("No traces are sent: OpenTelemetry refuses its variables (%s).", err)
        return None
    log.info("Traces are sent to %s", _without_secrets(endpoint))
    return tracing


def _without_secrets(endpoint: str) -> str:
    """Return an endpoint without user, password and query, which may be secrets."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_requested(environment: Mapping[str, str]) -> bool:
    """Return whether any variable of OpenTelemetry is set, and none switches traces off."""
    if not any(name.startswith(_PREFIX) and value for name, value in environment.items()):
        return False
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return environment.get(_EXPORTERS, "").strip().lower() != "none"


def _endpoint(environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")


def _unusable(environment: Mapping[str, str], endpoint: str) -> str | None:
    """Return why the variables lead to no traces, and what to do; None if they do."""
    exporter = environment.get(_EXPORTERS) or _OTLP
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _PROTOCOL)
    parts = urlsplit(endpoint)
    if find_spec("opentelemetry.sdk") is None:
        return (
            "OTEL_* variables are set, but OpenTelemetry's SDK is not installed. Install the extra "
            "`otel`: pip install 'hubel[otel]'."
        )
    if not endpoint:
        return (
            "OTEL_* variables are set, but no endpoint. Set OTEL_EXPORTER_OTLP_ENDPOINT, such as "
            "http://localhost:4318, or OTEL_SDK_DISABLED=true."
        )
    if exporter.strip().lower() != _OTLP:
        return f"{_EXPORTERS}={exporter} is not supported. Set it to {_OTLP} or none."
    if protocol.strip().lower() != _PROTOCOL:
        return (
            f"OTLP over {protocol} is not supported. Set OTEL_EXPORTER_OTLP_PROTOCOL="
            f"{_PROTOCOL}, and an endpoint for it; its usual port is 4318."
        )
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return "the endpoint is no URL. Begin it with http:// or https://."
    return None


def _sdk_tracing(environment: Mapping[str, str]) -> Tracing:
    """Set up the SDK.

    Raises:
        ValueError: a variable has a value that the SDK refuses.
        OSError: a file that a variable names can't be read.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    attributes = {SERVICE_VERSION: __version__}
    named = environment.get("OTEL_SERVICE_NAME") or (
        f"{SERVICE_NAME}=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    )
    if not named:
        attributes[SERVICE_NAME] = _SERVICE
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider.get_tracer(_SERVICE, __version__), provider.shutdown)
