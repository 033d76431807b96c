"""What every protocol does with its images, once it has read them.

admit (is there such a model, is there room?) -> the protocol reads the body -> answer: queue, wait
unless the client leaves, and keep account of it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

from fastapi import Request, Response

from app.api.metrics import TimedResult
from app.api.middleware.request_context import facts_of
from app.api.service import Service
from app.errors import ClientGone, DeadlinePassed
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.loaded_model import Model

TimedT = TypeVar("TimedT", bound=TimedResult)

_NUMBERS_HERE = 200
"""In an answer that is written on the event loop, in half a millisecond."""


def admit(service: Service, model: str | None, version: int | None) -> Model:
    """The model that will answer; what can be refused is refused here, before the body is read.

    Raises:
        UnknownModel: there is none of that name, or no such version.
        ModelNotReady: there is, and it may not serve.
        QueueFull: there is no room for one image more.
    """
    served = service.registry.resolve(model, version)
    service.classifier.engine.check_room()
    return served


async def classify_photos(
    request: Request, service: Service, photos: Sequence[Photo], model: Model, query: Query
) -> Sequence[Classified | BaseException]:
    """Classify `photos`; one that can't be used gives its error, the others their answers.

    Raises:
        QueueFull: they don't fit, all together.
        ClientGone: the client left.
        DeadlinePassed: it took too long.
    """
    queue = partial(service.classifier.submit, photos, model, query)
    return await _answer(request, service, model, len(photos), queue)


async def run_each(
    request: Request, service: Service, works: Sequence[Callable[[float], TimedT]], model: Model
) -> Sequence[TimedT | BaseException]:
    """Do each piece of work for one photo; one that fails gives its error.

    Raises:
        QueueFull: they don't fit, all together.
        ClientGone: the client left.
        DeadlinePassed: it took too long.
    """
    queue = partial(service.classifier.engine.submit, *works)
    return await _answer(request, service, model, len(works), queue)


async def _answer(
    request: Request,
    service: Service,
    model: Model,
    images: int,
    queue: Callable[[], Sequence[Future[TimedT]]],
) -> Sequence[TimedT | BaseException]:
    facts = facts_of(request.scope)
    facts.model, facts.version, facts.images = model.name, model.version, images
    outcomes = await _wait(queue(), request, service.classifier.engine.deadline_s)
    for outcome in outcomes:
        if not isinstance(outcome, BaseException):
            facts.add(outcome.stages)
            service.metrics.observe(outcome)
    return outcomes


def all_or_raise(outcomes: Sequence[Classified | BaseException]) -> Sequence[Classified]:
    """The answers, for protocols in which one bad image fails the request.

    Raises:
        HubelError: what the first bad image gave.
    """
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Classified)]


async def write_response(write: Callable[[], Response], numbers: int) -> Response:
    """What `write` gives: here, or on a thread where as many numbers would keep others waiting."""
    return write() if numbers <= _NUMBERS_HERE else await asyncio.to_thread(write)


async def _wait(
    futures: Sequence[Future[TimedT]], request: Request, deadline_s: float
) -> Sequence[TimedT | BaseException]:
    """What became of each; when the client leaves, what still waits is dropped.

    One future of the event loop's stands for all: each that had to be waited for in turn would
    take the loop once around.

    Raises:
        ClientGone: the client left.
        DeadlinePassed: it took too long.
    """
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    left = len(futures)

    def count() -> None:
        nonlocal left
        left -= 1
        if not left and not over.done():
            over.set_result(None)

    def tell(_: Future[TimedT]) -> None:
        with suppress(RuntimeError):  # the loop has ended before this photo
            loop.call_soon_threadsafe(count)

    for future in futures:
        future.add_done_callback(tell)
    gone = asyncio.create_task(_gone(request, over))
    try:
        async with asyncio.timeout(deadline_s):
            await over
    except TimeoutError as err:
        raise DeadlinePassed(
            f"No answer was ready within {deadline_s:g} s. Try again later."
        ) from err
    finally:
        gone.cancel()
        for future in futures:
            future.cancel()
    return [future.exception() or future.result() for future in futures]


async def _gone(request: Request, over: asyncio.Future[None]) -> None:
    """Fail `over` when the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not over.done():
        over.set_exception(ClientGone("The client left before its answer was ready."))
