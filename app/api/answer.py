"""What every protocol does with its images, once it has read them.

admit (is there such a model, is there room?) -> the protocol reads the body -> answer: queue, wait
unless the client leaves, and keep account of it.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from fastapi import Request

from app.api.envelope import facts_of
from app.api.service import Service
from app.errors import ClientGone, DeadlinePassed
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.model import Model


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
    facts = facts_of(request.scope)
    facts.model, facts.version, facts.images = model.name, model.version, len(photos)
    futures = service.classifier.submit(photos, model, query)
    outcomes = await _wait(futures, request, service.classifier.engine.deadline_s)
    for outcome in outcomes:
        if isinstance(outcome, Classified):
            facts.stages.append(outcome.stages)
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
    futures: Sequence[Future[Classified]], request: Request, deadline_s: float
) -> Sequence[Classified | BaseException]:
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
