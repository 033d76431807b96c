"""A body that is too large for memory: it goes to a file as it comes.

Content-Length -> TooManyBytes | StoreFailed, before a byte is read -> pieces, written by a thread
"""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from fastapi import Request

from app.api.request.body import check_not_compressed
from app.api.upload_limits import UploadTimes
from app.errors import BodyTooSlow, ClientGone, StoreFailed, TooManyBytes
from app.memory_budget import MemoryBudget

_PIECE_BYTES = 1024 * 1024
"""Bytes that are collected before they are written."""
_SPARE_BYTES = 256 * 1024 * 1024
"""Bytes of the disk that stay free, for databases and logs."""


@asynccontextmanager
async def body_file(
    request: Request,
    path: Path,
    *,
    max_bytes: int,
    times: UploadTimes,
    memory: MemoryBudget,
    executor: Executor,
) -> AsyncGenerator[Path, None]:
    """Write the body of a request to a new file, which is removed when the block ends.

    Args:
        request: the request.
        path: the file.
        max_bytes: the maximum length of the body.
        times: how long it may take.
        memory: what the pieces in memory are taken from.
        executor: the threads that write.

    Raises:
        TooManyBytes: the body is longer than `max_bytes`.
        BodyTooSlow: it took too long.
        ClientGone: the client left before it was complete.
        UnsupportedFormat: it is compressed.
        QueueFull: there is no memory for a piece of it now.
        StoreFailed: the disk has no room for it.
        OSError: it can't be written.
    """
    check_not_compressed(request.headers.getlist("content-encoding"))
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdigit() else 0
    _check(size, max_bytes)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(executor, _check_disk, path.parent, size)
    with memory.hold() as share:
        share.grow_to(2 * _PIECE_BYTES)
        file = await loop.run_in_executor(executor, path.open, "xb")
        try:
            await _write(request, file, max_bytes, times, executor)
            await loop.run_in_executor(executor, file.close)
            yield path
        finally:
            with suppress(RuntimeError):  # the service ends; its next start removes the file
                await loop.run_in_executor(executor, _remove, file, path)


async def _write(
    request: Request, file: IO[bytes], max_bytes: int, times: UploadTimes, executor: Executor
) -> None:
    loop = asyncio.get_running_loop()
    until = time.monotonic() + times.whole_s
    size = 0
    piece = bytearray()
    more = True
    while more:
        left_s = min(times.pause_s, until - time.monotonic())
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                message = await request.receive()
        except TimeoutError as err:
            raise BodyTooSlow(
                f"The body has to arrive within {times.whole_s:g} s, without pauses over "
                f"{times.pause_s:g} s. Send it faster, or in parts."
            ) from err
        if message["type"] == "http.disconnect":
            raise ClientGone("The client left before its body was complete.")
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        _check(size, max_bytes)
        piece += chunk
        if len(piece) >= _PIECE_BYTES or not more:
            await loop.run_in_executor(executor, file.write, bytes(piece))
            piece.clear()


def _check(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooManyBytes(
            f"The body has {size} bytes or more; {max_bytes} are allowed. Send it in parts."
        )


def _check_disk(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + _SPARE_BYTES:
        raise StoreFailed("The disk of HUBEL_DATA_DIR has no room for it. Make room, or send less.")


def _remove(file: IO[bytes], path: Path) -> None:
    with suppress(OSError):
        file.close()
    path.unlink(missing_ok=True)
