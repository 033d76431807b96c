"""The body of a request, rejected before it is read if Content-Length exceeds a limit.

Content-Length -> TooManyBytes | QueueFull, before a byte is read -> chunks, counted -> bytes
"""

import asyncio
import time
from io import BytesIO

from fastapi import Request

from app.api.middleware.request_context import record_of
from app.api.service import BodyLimits
from app.errors import BodyTooSlow, ClientGone, TooManyBytes, UnsupportedFormat
from app.memory_budget import MemoryShare


async def read_body(
    request: Request, max_bytes: int, limits: BodyLimits, share: MemoryShare
) -> bytes:
    """Read the whole body.

    Args:
        request: the request.
        max_bytes: the maximum length of the body in bytes.
        limits: the limits of the service; `timeout_s` applies here.
        share: the counter of the request's bytes in memory.

    Raises:
        TooManyBytes: the body is longer than `max_bytes`.
        BodyTooSlow: the body took longer than `limits.timeout_s`.
        QueueFull: the bodies of all requests together exceed the memory budget.
        ClientGone: the client left before the body was complete.
        UnsupportedFormat: the body is compressed.
    """
    check_not_compressed(request.headers.getlist("content-encoding"))
    announced = request.headers.get("content-length", "")
    if announced.isdigit():
        _check(int(announced), max_bytes)
        # only checked, not reserved: a client may never send what it announced
        share.check_room(int(announced))
    left_s = record_of(request.scope).began + limits.timeout_s - time.monotonic()
    try:
        async with asyncio.timeout(max(0.0, left_s)):
            return await _read(request, max_bytes, share)
    except TimeoutError as err:
        raise BodyTooSlow(
            f"The body did not arrive within {limits.timeout_s:g} s. "
            "Send it faster, or send a smaller one."
        ) from err


def check_not_compressed(encodings: list[str]) -> None:
    """Accept no coding and `identity`, which is none; names are case-insensitive (RFC 9110).

    Raises:
        UnsupportedFormat: there is another coding.
    """
    names = [name.strip() for name in ",".join(encodings).split(",")]
    if any(name.lower() not in ("", "identity") for name in names):
        raise UnsupportedFormat(
            f"Content-Encoding {', '.join(names)} is not supported. Send the image without it."
        )


async def _read(request: Request, max_bytes: int, share: MemoryShare) -> bytes:
    first = b""
    buffer = BytesIO()  # joining a list of chunks would hold the body twice
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client left before its body was complete.")
        if chunk := message.get("body", b""):
            size += len(chunk)
            _check(size, max_bytes)
            share.grow_to(size)
            if size == len(chunk):
                first = chunk
            else:
                buffer.write(first)
                buffer.write(chunk)
                first = b""
        if not message.get("more_body", False):
            return first or buffer.getvalue()


def _check(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooManyBytes(
            f"The body has {size} bytes or more; {max_bytes} are allowed. Send a smaller image."
        )
