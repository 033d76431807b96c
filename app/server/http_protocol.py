"""uvicorn's HTTP/1.1 protocol, with limits on heads, pipelined requests and unread data.

connected -> a head, within HEAD_TIMEOUT_S and MAX_HEAD_BYTES -> uvicorn and the application
          -> no data: closed; an incomplete head: 408, closed
          -> more than MAX_HEAD_BYTES of head or trailers: 431, closed
          -> pipelined requests: read after the current response, at most MAX_PIPELINED of them
          -> body data after the response: dropped; closed if it continues
          -> not HTTP: 400, closed

A head is the request line and the headers. uvicorn waits for a head without a time limit, collects
it without a size limit, and resumes reading after each response although pipelined requests wait.
"""

import asyncio
import logging
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import raw_http_problem

log = logging.getLogger("hubel")

MAX_HEAD_BYTES = 64 * 1024
"""Usual heads have one or two kilobytes; nginx and Apache allow 8 to 32."""
HEAD_TIMEOUT_S = 20.0
MAX_WAITING_BYTES = 512 * 1024
"""Unread body data at which reading pauses; uvicorn's limit is 64 KiB."""
MAX_PIPELINED = 1000
"""Maximum number of requests that wait for an earlier response; 1,000 of them take 4 MB."""


class _PipelineFlowControl(FlowControl):
    """Flow control that reads nothing while pipelined requests wait for their responses.

    While requests wait, the body of the current one is complete: they come after it.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """A connection with the limits that the module's docstring lists."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    """Whether the next data belong to a head."""
    _head_has_begun = False
    """Whether a part of that head has arrived."""
    _parts = 0
    """Number of heads that have begun and of pieces of bodies."""
    _header_bytes = 0
    """Bytes of headers or trailers, received since the last head or piece of a body began."""

    def connection_made(self, transport: Any) -> None:
        """Start the time limit for a head."""
        super().connection_made(transport)
        self.flow = _PipelineFlowControl(transport, self.pipeline)
        self._expect_head(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data; reject too many bytes of headers and too many pipelined requests."""
        parts = self._parts
        super().data_received(data)
        self._header_bytes = self._header_bytes + len(data) if self._parts == parts else 0
        if self._header_bytes > MAX_HEAD_BYTES:
            text = f"The headers or trailers are over {MAX_HEAD_BYTES} bytes. Send fewer."
            self._reject(431, "head_too_large", "Head too large", text)
        elif len(self.pipeline) > MAX_PIPELINED:
            text = f"Over {MAX_PIPELINED} requests came before a response. Wait for responses."
            self._reject(429, "too_many_behind", "Too many requests at once", text)
        elif self._is_idle and not self._timer and not self.timeout_keep_alive_task:
            self._expect_head(self.timeout_keep_alive)

    @property
    def _is_idle(self) -> bool:
        """Whether no request of this connection is unanswered."""
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    def on_message_begin(self) -> None:
        """Start the time limit for this head."""
        super().on_message_begin()
        self._parts += 1
        self._in_head = self._head_has_begun = True
        self._expect_head(HEAD_TIMEOUT_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Process a header; drop trailers, which follow a body."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the time limit: the head is complete."""
        self._in_head = self._head_has_begun = False
        self._cancel_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Append a part of the body. Reading does not pause for photos of the usual size."""
        self._parts += 1
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > MAX_WAITING_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Expect a head as the next data."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """Respond to data that are not HTTP, with 400."""
        text = f"{msg.rstrip('.')}. Send HTTP/1.1."
        self._reject(400, "bad_request", "Bad request", text)

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
            self._reject(408, "head_too_slow", "Head too slow", text)
        else:
            self.transport.close()

    def _reject(self, status: int, code: str, title: str, text: str) -> None:
        """Write an error, unless a response is being written, and close the connection."""
        self._cancel_timer()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(raw_http_problem(status, code, title, text))
        log.warning("a connection is closed: %s", text)
        self.transport.close()
