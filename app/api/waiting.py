"""Waits for the results of a request's jobs, unless its client leaves or its time is over."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from fastapi import Request

from app.api.metrics import TimedResult
from app.errors import ClientGone, DeadlinePassed, out_of_memory

ResultT = TypeVar("ResultT", bound=TimedResult | bytes)


async def wait(
    futures: Sequence[Future[ResultT]], request: Request, deadline: float
) -> Sequence[ResultT | BaseException]:
    """Wait for all `futures` and return their results or errors; cancel the rest on an error.

    One asyncio future stands for all of them: awaiting each would cost a turn of the event loop
    per photo.

    Raises:
        ClientGone: the client left.
        DeadlinePassed: the results were not ready in time.
    """
    loop = asyncio.get_running_loop()
    all_done = loop.create_future()
    remaining = len(futures)

    def count_down() -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining and not all_done.done():
            all_done.set_result(None)

    def on_done(_: Future[ResultT]) -> None:
        with suppress(RuntimeError):  # the event loop was closed before this photo was done
            loop.call_soon_threadsafe(count_down)

    for future in futures:
        future.add_done_callback(on_done)
    disconnect = asyncio.create_task(_fail_on_disconnect(request, all_done))
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await all_done
    except TimeoutError as err:
        raise DeadlinePassed(
            "The response was not ready within the time limit of the service. Try again later."
        ) from err
    finally:
        disconnect.cancel()
        for future in futures:
            future.cancel()
    return [_outcome(future) for future in futures]


def _outcome(future: Future[ResultT]) -> ResultT | BaseException:
    error = future.exception()
    return (out_of_memory(error) or error) if error else future.result()


async def _fail_on_disconnect(request: Request, all_done: asyncio.Future[None]) -> None:
    """Fail `all_done` when the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not all_done.done():
        all_done.set_exception(ClientGone("The client left before its response was ready."))
