"""What every protocol does with its images, once it has read them.

admit (is there such a model, is there room?) -> the protocol reads the body -> answer: queue, wait
unless the client leaves, and keep account of it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from fastapi import Request

from app.api.envelope import facts_of
from app.api.metrics import Told
from app.api.service import Service
from app.errors import ClientGone, DeadlinePassed
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.model import Model

ToldT = TypeVar("ToldT", bound=Told)


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


async def answer(
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


async def answer_each(
    request: Request, service: Service, works: Sequence[Callable[[float], ToldT]], model: Model
) -> Sequence[ToldT | BaseException]:
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
    queue: Callable[[], Sequence[Future[ToldT]]],
) -> Sequence[ToldT | BaseException]:
    facts = facts_of(request.scope)
    facts.model, facts.version, facts.images = model.name, model.version, images
    outcomes = await _wait(queue(), request, service.classifier.engine.deadline_s)
    for outcome in outcomes:
        if not isinstance(outcome, BaseException):
            facts.add(outcome.stages)
            service.metrics.observe(outcome)
    return outcomes


def all_of(outcomes: Sequence[Classified | BaseException]) -> Sequence[Classified]:
    """The answers, for protocols in which one bad image fails the request.

    Raises:
        HubelError: what the first bad image gave.
    """
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Classified)]


async def _wait(
    futures: Sequence[Future[ToldT]], request: Request, deadline_s: float
) -> Sequence[ToldT | BaseException]:
    """What became of each; when the client leaves, what still waits is dropped.

    Raises:
        ClientGone: the client left.
        DeadlinePassed: it took too long.
    """
    answers = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    gone = asyncio.create_task(_gone(request))
    try:
        first: list[asyncio.Future[Any]] = [answers, gone]
        await asyncio.wait(first, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        if gone.done():
            raise ClientGone("The client left before its answer was ready.")
        raise DeadlinePassed(f"No answer was ready within {deadline_s:g} s. Try again later.")
    finally:
        gone.cancel()
        if answers.cancel():
            with suppress(asyncio.CancelledError):
                await answers  # or asyncio logs that nobody asked what became of it


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
