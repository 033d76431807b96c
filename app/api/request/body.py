"""A request's body: refused before it is read where that can be told, else read once.

Content-Length -> TooManyBytes | QueueFull, before a byte is read -> chunks, counted -> bytes.
"""

import asyncio

from fastapi import Request

from app.api.service import BodyLimits, Held
from app.errors import BodyTooSlow, ClientGone, TooManyBytes, UnsupportedFormat


async def read_body(request: Request, limit: int, limits: BodyLimits, held: Held) -> bytes:
    """All of the body.

    Args:
        request: whose body.
        limit: the most bytes that it may have.
        limits: for the time in which it must arrive.
        held: where its bytes are accounted for.

    Raises:
        TooManyBytes: it is longer than `limit`.
        BodyTooSlow: it took longer than `limits.timeout_s`.
        QueueFull: all requests together hold too much.
        ClientGone: the client left in the middle.
        UnsupportedFormat: it is compressed.
    """
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise UnsupportedFormat(
            f"Content-Encoding {encoding} is not read. Send the image as it is."
        )
    announced = request.headers.get("content-length", "")
    if announced.isdigit():
        _check(int(announced), limit)
        held.check_room(int(announced))  # what is only announced takes no room from others
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _read(request, limit, held)
    except TimeoutError as err:
        raise BodyTooSlow(
            f"The body did not arrive within {limits.timeout_s:g} s. Send it faster, or smaller."
        ) from err


async def _read(request: Request, limit: int, held: Held) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client left while its body was being read.")
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
