"""uvicorn's HTTP/1.1 protocol, with bounds on what is no request, or not its turn.

connected -> a head, within HEAD_TIMEOUT_S and MAX_HEAD_BYTES -> uvicorn and the application
          -> silence, or a head that does not end: closed, with 408
          -> more than that beside a body, as headers behind it: 431
          -> requests behind a request: read on when it is answered, MAX_BEHIND of them at most
          -> what comes behind an answer: dropped, and closed when it lasts
          -> no HTTP at all: 400

uvicorn waits for a head for ever, collects it without a limit, and reads on when one of many
waiting requests is answered; all on the event loop.
"""

import asyncio
import logging
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import bare_problem

log = logging.getLogger("hubel")

MAX_HEAD_BYTES = 64 * 1024
"""Heads are one or two kilobytes; nginx and Apache allow 8 to 32."""
HEAD_TIMEOUT_S = 20.0
MAX_WAITING_BYTES = 512 * 1024
"""Of a body that nobody has read yet, before its sender is made to wait; uvicorn has 64 KiB."""
MAX_BEHIND = 1000
"""Requests of one connection that wait for the one before them; they take 4 MB."""


class _Flow(FlowControl):
    """Reads nothing while requests wait behind another: whoever is answered has all of its body."""

    def __init__(self, transport: asyncio.Transport, behind: Sized) -> None:
        super().__init__(transport)
        self._behind = behind

    def resume_reading(self) -> None:
        if not self._behind:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    """Nothing of a request has come, or not all of its head."""
    _has_begun = False
    """Some of that head has come."""
    _parts = 0
    """Heads that have begun, and pieces of bodies."""
    _beside_bytes = 0
    """What has come since the last of them and was neither."""

    def connection_made(self, transport: Any) -> None:
        """Expect a head."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._expect(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body: the rest of a head, or headers behind a body."""
        parts = self._parts
        super().data_received(data)
        self._beside_bytes = self._beside_bytes + len(data) if self._parts == parts else 0
        if self._beside_bytes > MAX_HEAD_BYTES:
            text = f"The request's head is over {MAX_HEAD_BYTES} bytes. Send fewer headers."
            self._refuse(431, "head_too_large", "Head too large", text)
        elif len(self.pipeline) > MAX_BEHIND:
            text = f"Over {MAX_BEHIND} requests came before an answer. Wait for answers."
            self._refuse(429, "too_many_behind", "Too many requests at once", text)
        elif self._is_answered and not self._timer and not self.timeout_keep_alive_task:
            self._expect(self.timeout_keep_alive)

    @property
    def _is_answered(self) -> bool:
        """Whether nobody works for this connection."""
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._parts += 1
        self._in_head = self._has_begun = True
        self._expect(HEAD_TIMEOUT_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those behind a body are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = self._has_begun = False
        self._cancel_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body: a photo of ordinary size is taken without a pause."""
        self._parts += 1
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

    def _expect(self, timeout_s: float) -> None:
        """A whole head within `timeout_s`, whatever else comes."""
        self._cancel_timer()
        self._timer = self.loop.call_later(timeout_s, self._head_is_late)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._has_begun:
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
