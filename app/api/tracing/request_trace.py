"""The trace of a request: its span, its place in the client's trace, and its photos' stages.

traceparent -> the span of the request -> traceresponse, and trace_id in the log and the exemplar
                                       -> a TracedJob for each of its photos
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry import context as contexts
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from app.api.tracing.traced_turn import ERROR, Job, TracedJob

log = logging.getLogger("hubel")

Headers = Iterable[tuple[bytes, bytes]]
Attributes = Mapping[str, str | int]

_FLUSH_S = 5.0
"""The time that the end of the process may take to send the last spans."""
_EMPTY = Context()
_FIRST_SERVER_ERROR = 500


class Tracing:
    """The traces of all requests; a context manager that sends the last spans at its end.

    Args:
        tracer: makes the spans, of those requests that its sampler selects.
        shutdown: sends the spans that wait, and ends the exporter.
        flush_s: the seconds that `shutdown` may take.
    """

    def __init__(
        self, tracer: Tracer, shutdown: Callable[[], None], flush_s: float = _FLUSH_S
    ) -> None:
        self._tracer = tracer
        self._shutdown = shutdown
        self._flush_s = flush_s
        self._propagator = propagate.get_global_textmap()
        self._fields = {field.lower().encode(): field for field in self._propagator.fields}

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Send the spans that wait; a collector that doesn't respond delays the end by a bound."""
        thread = threading.Thread(target=self._shutdown, name="last-spans", daemon=True)
        thread.start()
        thread.join(self._flush_s)
        if thread.is_alive():
            log.warning("The last spans were not sent within %g s and are lost", self._flush_s)

    def begin(
        self, headers: Headers, began: float, attributes: Attributes
    ) -> "RequestTrace | None":
        """Begin the span of a request.

        Args:
            headers: its headers, with names in lower case.
            began: time.monotonic() at its first byte.
            attributes: what the sampler may decide by.

        Returns:
            None for a request that is not sampled, unless it belongs to a trace of the client's.
        """
        carrier = {
            self._fields[name]: value.decode("latin-1")
            for name, value in headers
            if name in self._fields
        }
        parent = self._propagator.extract(carrier, _EMPTY) if carrier else _EMPTY
        started = time.time_ns() - round((time.monotonic() - began) * 1e9)
        span = self._tracer.start_span(
            str(attributes["http.request.method"]),
            parent,
            SpanKind.SERVER,
            attributes,
            start_time=started,
        )
        if span.is_recording() or (carrier and span.get_span_context().is_valid):
            return RequestTrace(self._tracer, span, parent)
        return None


class RequestTrace:
    """The span of one request, and those of its photos' stages.

    Args:
        tracer: makes the spans.
        span: the request's span.
        parent: the context that the client has sent.
    """

    def __init__(self, tracer: Tracer, span: Span, parent: Context) -> None:
        self._tracer = tracer
        self._span = span
        self._jobs: Sequence[TracedJob] = ()
        self.is_sampled = span.is_recording()
        """Whether its spans are sent."""
        self._context = set_span_in_context(span, parent)
        self._token: Token[Context] = contexts.attach(self._context)
        ids = span.get_span_context()
        self.trace_id = f"{ids.trace_id:032x}"
        self.header = f"00-{self.trace_id}-{ids.span_id:016x}-{ids.trace_flags:02x}".encode()
        """The value of the response's header `traceresponse`."""

    def around(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the jobs of the request's photos such that their stages become spans."""
        if not self.is_sampled:
            return jobs
        self._jobs = [
            TracedJob(job, self._tracer, self._context, image) for image, job in enumerate(jobs)
        ]
        return self._jobs

    def end(self, name: str, status: int, code: str | None, attributes: Attributes) -> None:
        """End the request's span.

        Args:
            name: the span's name: method and route.
            status: the response's status.
            code: the error's code, if there is one.
            attributes: what was learnt about the request since its start.
        """
        contexts.detach(self._token)
        if not self.is_sampled:
            return
        for job in self._jobs:
            job.end()
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if code is not None:
            self._span.set_attribute(ERROR, code)
        if status >= _FIRST_SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
