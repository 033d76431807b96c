"""uvicorn's HTTP/1.1 protocol, strict about framing, with limits on what a connection may take.

connected -> more connections than the limit of open files allows: 503, closed (open_files.py)
          -> a head, within HEAD_TIMEOUT_S and MAX_HEAD_BYTES -> uvicorn and the application
          -> the queue is full: 429 at once; the body is dropped
          -> no data: closed; an incomplete head: 408, closed
          -> more than MAX_HEAD_BYTES of head or trailers: 431, closed
          -> not HTTP/1.1, or framed wrongly (request_head.py): 400, 405, 501 or 505, closed
          -> a request to upgrade the connection: ignored
          -> pipelined requests: read after the current response, at most MAX_PIPELINED of them
          -> body data after the response: dropped (dropped_data.py); closed if it continues
          -> the client's end of data: complete requests get responses (half_closed.py)
          -> a response that the client doesn't read: aborted (stalled_writes.py)

A head is the request line and the headers. uvicorn waits for a head without a time limit, collects
it without a size limit, resumes reading after each response although pipelined requests wait, takes
the body behind an upgrade for another protocol, and ends a connection in which data are unread with
a reset, so that the client loses the response.
"""

import asyncio
import logging
import time
from types import SimpleNamespace
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.early_refusal import Refuse
from app.api.middleware.request_context import FIRST_BYTE_AT
from app.api.problems import raw_http_problem
from app.server.dropped_data import DroppedData, DropRate
from app.server.half_closed import HalfClosedClient
from app.server.open_files import ConnectionLimit
from app.server.pipeline_flow import PipelineFlowControl
from app.server.request_head import HeadRejected, check_head, head_without_upgrade
from app.server.stalled_writes import StalledWrites

log = logging.getLogger("hubel")

MAX_HEAD_BYTES = 64 * 1024
"""Usual heads have one or two kilobytes; nginx and Apache allow 8 to 32."""
HEAD_TIMEOUT_S = 20.0
MAX_WAITING_BYTES = 512 * 1024
"""Unread body data at which reading pauses; uvicorn's limit is 64 KiB."""
MAX_PIPELINED = 64
"""Maximum number of requests that wait for an earlier response; 64 of them take 0.25 MB."""
LINGER_S = 2.0
"""Time for which data are dropped behind the last response, so that closing doesn't reset it."""


_REFUSED: Any = SimpleNamespace(response_complete=True, message_event=asyncio.Event())
"""The cycle of a request that was refused before the application: its response is complete."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection with the limits that the module's docstring lists.

    Args:
        refuse: returns the response to a request that is refused, or None; see `EarlyRefusal`.
        limit: the limit of connections; None: there is none.
        drop_rate: the limit for data that come after the last response.
        options: those of uvicorn's protocol.
    """

    def __init__(
        self,
        *,
        refuse: Refuse | None = None,
        limit: ConnectionLimit | None = None,
        drop_rate: DropRate | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._drop_rate = drop_rate or DropRate()
        self._refuse = refuse
        self._limit = limit
        self._first_byte_at = 0.0

    _running: RequestResponseCycle | None = None
    """The request that is being served, or was served last."""
    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    """Whether the next data belong to a head: the body before it is complete."""
    _head_has_begun = False
    """Whether a part of that head has arrived."""
    _is_upgrade = False
    """Whether the parser is at the end of a head that must be read again without its upgrade."""
    _parts = 0
    """Number of heads that have begun and of pieces of bodies."""
    _header_bytes = 0
    """Bytes of headers or trailers, received since the last head or piece of a body began."""
    _rejection: bytes | None = None
    """The response to invalid data, sent after the responses that are due before it."""
    _half_closed: HalfClosedClient | None = None
    """Set after the end of the client's data."""
    _ending = False
    """Whether no more data are processed: the last response has been written."""

    def connection_made(self, transport: Any) -> None:
        """Start the time limit for a head."""
        super().connection_made(transport)
        self.flow = PipelineFlowControl(transport, self.pipeline)
        self._stalled = StalledWrites(transport, self.loop)
        self._dropped = DroppedData(transport, self.flow, self._drop_rate)
        # Requests end the connection through `_end`, which lets the client read the response.
        self._for_requests: Any = SimpleNamespace(
            write=transport.write, is_closing=transport.is_closing, close=self._end
        )
        if self._limit is not None and not self._limit.admits(len(self.connections)):
            text = "The service has as many connections as it can have. Try again later."
            title = "Too many connections"
            transport.write(raw_http_problem(503, "too_many_connections", title, text, 1))
            self._end()
            return
        self._expect_head(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers, and tell the running request that its client has left."""
        self._cancel_timer()
        self._stalled.stop()
        if self._half_closed is not None:
            self._half_closed.stop()
        self._disconnect(self._running)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data; reject what is not HTTP, too many headers and too many requests."""
        self._unset_keepalive_if_required()
        if self._ending:
            self._dropped.drop(len(data))
            return
        if self._rejection is not None:
            return
        parts = self._parts
        try:
            self._parse(data)
        except httptools.HttpParserError as err:
            self._reject(err.__context__ if isinstance(err.__context__, HeadRejected) else err)
            return
        self._header_bytes = self._header_bytes + len(data) if self._parts == parts else 0
        if self._header_bytes > MAX_HEAD_BYTES:
            text = f"The headers or trailers are over {MAX_HEAD_BYTES} bytes. Send fewer."
            self._reject(HeadRejected(431, "head_too_large", "Head too large", text))
        elif len(self.pipeline) > MAX_PIPELINED:
            self.pipeline.clear()
            text = f"Over {MAX_PIPELINED} requests came before a response. Wait for responses."
            self._reject(HeadRejected(429, "too_many_behind", "Too many requests at once", text))
        elif self._is_idle and not self._timer and not self.timeout_keep_alive_task:
            self._expect_head(self.timeout_keep_alive)

    def _parse(self, data: bytes) -> None:
        """Pass data to the parser; where it stops for an upgrade, go on without the upgrade."""
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            head = head_without_upgrade(
                self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers
            )
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return True, which keeps the connection open, if a response is due."""
        if self._ending or self.scheme == "https":  # TLS has no half-closed connections
            return False
        if self._is_idle and not self._head_has_begun:
            return self._rejection is not None
        if self._head_has_begun or not self._in_head:
            self._reject(httptools.HttpParserError("The data ended before the request did"))
        if self._ending:
            return False
        self.cycle.keep_alive = False
        self._half_closed = HalfClosedClient(
            self.transport, self.loop, lambda: self._may_send_interim_response
        )
        return True

    @property
    def _may_send_interim_response(self) -> bool:
        cycle = self._running
        return (
            cycle is not None
            and not cycle.response_started
            and cycle.scope["http_version"] == "1.1"
        )

    @property
    def _is_idle(self) -> bool:
        """Whether no request of this connection is unanswered."""
        return self._running is None or (self._running.response_complete and not self.pipeline)

    def on_message_begin(self) -> None:
        """Start the time limit for this head."""
        super().on_message_begin()
        self._first_byte_at = self.scope["state"][FIRST_BYTE_AT] = time.monotonic()
        self._parts += 1
        self._in_head = self._head_has_begun = True
        self._expect_head(HEAD_TIMEOUT_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Process a header; drop trailers, which follow a body."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head, stop its time limit, and start the request."""
        self._is_upgrade = self.parser.should_upgrade()
        if self._is_upgrade:
            if self.parser.get_method() == b"CONNECT":
                text = "CONNECT is not supported. Send requests to this service itself."
                raise HeadRejected(405, "method_not_allowed", "Method not allowed", text)
            return
        check_head(self.parser.get_http_version(), self.headers)
        self._in_head = self._head_has_begun = False
        self._cancel_timer()
        if not self._is_refused():
            super().on_headers_complete()
            self.cycle.transport = self._for_requests

    def _is_refused(self) -> bool:
        """Refuse this request if the queue is full: write the response, and drop the body."""
        if (
            self._refuse is None
            or not self._is_idle
            or self.expect_100_continue
            or not self.parser.should_keep_alive()
            or self.transport.get_write_buffer_size()  # the client doesn't read
        ):
            return False
        response = self._refuse(
            self.parser.get_method(),
            self.url,
            self.headers,
            self._first_byte_at,
            self.server_state.default_headers,
        )
        if response is None:
            return False
        self.transport.write(response)
        self.cycle = _REFUSED
        self.on_response_complete()
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Append a part of the body. Reading does not pause for photos of the usual size."""
        self._parts += 1
        if self.cycle.response_complete:
            self._dropped.drop(len(body))
            return
        self.cycle.body += body
        if len(self.cycle.body) > MAX_WAITING_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Expect a head as the next data."""
        if self._is_upgrade:
            return
        super().on_message_complete()
        self._in_head = True

    def on_response_complete(self) -> None:
        """Go on with the next request, or reject the data that come next."""
        super().on_response_complete()
        if self._rejection is not None and self._is_idle:
            self._send_rejection()

    def pause_writing(self) -> None:
        """Watch whether the client reads."""
        super().pause_writing()
        self._stalled.start()

    def resume_writing(self) -> None:
        """Stop the watch: the client has read."""
        super().resume_writing()
        self._stalled.stop()

    def shutdown(self) -> None:
        """Close the connection, after the response to a request that is being served."""
        if self._is_idle:
            self._end()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long."""
        self._end()

    def _expect_head(self, timeout_s: float) -> None:
        """Start the time limit for a complete head."""
        self._cancel_timer()
        self._timer = self.loop.call_later(timeout_s, self._on_head_timeout)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_head_timeout(self) -> None:
        if self._head_has_begun:
            text = f"The request's head did not arrive within {HEAD_TIMEOUT_S:g} s. Send it faster."
            self._reject(HeadRejected(408, "head_too_slow", "Head too slow", text))
        else:
            self._end()

    def _reject(self, err: BaseException) -> None:
        """Respond with an error, after the responses that are due, and end the connection."""
        self._cancel_timer()
        if not isinstance(err, HeadRejected):
            text = f"{str(err).rstrip('.') or 'The data are not HTTP'}. Send valid HTTP/1.1."
            err = HeadRejected(400, "bad_request", "Bad request", text)
        log.info("a connection is rejected: %s", err)
        self._rejection = raw_http_problem(err.status, err.code, err.title, str(err))
        if not self._in_head:  # the newest request is the invalid one
            if self.pipeline:
                self.pipeline.popleft()
            elif not self._is_idle:
                self._disconnect(self._running)
                self._send_rejection()
                return
        if self._is_idle:
            self._send_rejection()

    def _send_rejection(self) -> None:
        """Write the error, unless the client has had a part of another response to its data."""
        assert self._rejection is not None
        running = self._running
        if running is None or not running.response_started or running.response_complete:
            self.transport.write(self._rejection)
        self._end()

    def _disconnect(self, cycle: RequestResponseCycle | None) -> None:
        """Tell a request that nobody reads its response."""
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _end(self) -> None:
        """Close the connection after the written data; drop what the client still sends.

        Closing a socket with unread data resets the connection, and the client loses the response.
        """
        if self._ending or self.transport.is_closing():
            return
        self._ending = True
        self._cancel_timer()
        self._unset_keepalive_if_required()
        if self._half_closed is not None:
            self._half_closed.stop()
        self._stalled.start()
        if (self._in_head and self._rejection is None) or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        FlowControl.resume_reading(self.flow)
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)
