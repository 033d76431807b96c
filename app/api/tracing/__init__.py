"""Traces by OpenTelemetry: a span for each request, with child spans for the stages of its photos.

OTEL_* variables -> configuration.py: the SDK, its sampler, its exporter
a request's head -> request_trace.py: its span, in the trace that `traceparent` names
its photos       -> traced_turn.py: queue, decode, resize, run, on the engine's threads

Nothing of the SDK is imported unless the variables name an endpoint.
"""

from app.api.tracing.request_trace import RequestTrace, Tracing

__all__ = ["RequestTrace", "Tracing"]
