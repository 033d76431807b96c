"""uvicorn's HTTP/1.1 protocol, with bounds on what comes before a request is one.

connected -> a head, within HEAD_TIMEOUT_S and MAX_HEAD_BYTES -> uvicorn and the application
          -> silence, or a head that does not end: closed, with 408
          -> a head without bounds: 431            -> no HTTP at all: 400

uvicorn waits for a head for ever and collects it without a limit, on the event loop.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import bare_problem

log = logging.getLogger("hubel")

MAX_HEAD_BYTES = 64 * 1024
"""Heads are one or two kilobytes; nginx and Apache allow 8 to 32."""
HEAD_TIMEOUT_S = 20.0
MAX_WAITING_BYTES = 512 * 1024
"""Of a body that nobody has read yet, before its sender is made to wait; uvicorn has 64 KiB."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _heads = 0
    """How many have begun on this connection."""
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Expect a head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to nothing but a head."""
        was_in_head, heads = self._in_head, self._heads
        super().data_received(data)
        if was_in_head and self._in_head and self._heads == heads:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                text = f"The request's head is over {MAX_HEAD_BYTES} bytes. Send fewer headers."
                self._refuse(431, "head_too_large", "Head too large", text)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._heads += 1
        self._head_bytes = 0
        self._in_head = True
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._cancel_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body: a photo of ordinary size is taken without a pause."""
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > MAX_WAITING_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """What comes next is a head again."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """Tell whoever speaks no HTTP so."""
        text = f"{msg.rstrip('.')}. Send HTTP/1.1."
        self._refuse(400, "bad_request", "Bad request", text)

    def _expect_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_is_late)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._heads:
            text = f"The request's head did not arrive within {HEAD_TIMEOUT_S:g} s. Send it faster."
            self._refuse(408, "head_too_slow", "Head too slow", text)
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, title: str, text: str) -> None:
        """Answer, unless another answer is being written on this connection; then close it."""
        self._cancel_timer()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(bare_problem(status, code, title, text))
        log.warning("a connection is closed: %s", text)
        self.transport.close()
