"""The body of a request, rejected before it is read if Content-Length exceeds a limit.

Content-Length -> TooManyBytes | QueueFull, before a byte is read -> chunks, counted -> bytes
"""

import asyncio

from fastapi import Request

from app.api.service import BodyLimits, Held
from app.errors import BodyTooSlow, ClientGone, TooManyBytes, UnsupportedFormat


async def read_body(request: Request, limit: int, limits: BodyLimits, held: Held) -> bytes:
    """Read the whole body.

    Args:
        request: the request.
        limit: the maximum length of the body in bytes.
        limits: the limits of the service; `timeout_s` applies here.
        held: the counter of the request's bytes in memory.

    Raises:
        TooManyBytes: the body is longer than `limit`.
        BodyTooSlow: the body took longer than `limits.timeout_s`.
        QueueFull: the bodies of all requests together exceed the buffer's limit.
        ClientGone: the client left before the body was complete.
        UnsupportedFormat: the body is compressed.
    """
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise UnsupportedFormat(
            f"Content-Encoding {encoding} is not supported. Send the image without it."
        )
    announced = request.headers.get("content-length", "")
    if announced.isdigit():
        _check(int(announced), limit)
        held.check_room(
            int(announced)
        )  # announced bytes take no room: a client may never send them
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _read(request, limit, held)
    except TimeoutError as err:
        raise BodyTooSlow(
            f"The body did not arrive within {limits.timeout_s:g} s. "
            "Send it faster, or send a smaller one."
        ) from err


async def _read(request: Request, limit: int, held: Held) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client left before its body was complete.")
        if chunk := message.get("body", b""):
            size += len(chunk)
            _check(size, limit)
            held.grow_to(size)
            chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise TooManyBytes(
            f"The body has {size} bytes or more; {limit} are allowed. Send a smaller image."
        )
