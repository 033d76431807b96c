"""The request path from admission to results, the same for every protocol.

admit (does the model exist, has the queue room?) -> the protocol reads the body
-> classify_photos | run_each: queue -> wait, unless the client leaves -> metrics and log
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

from fastapi import Request, Response

from app.api.key_limits import use_of
from app.api.metrics import TimedResult
from app.api.middleware.request_context import record_of
from app.api.observed_predictions import keep_photos, observe_predictions
from app.api.problems import problem_of
from app.api.request.crops import require_one_photo
from app.api.response_memory import response_bytes, take_response
from app.api.schemas.classification import Failure
from app.api.service import Service
from app.api.shadowing import run_after_response, take_pixels
from app.api.waiting import wait
from app.errors import HubelError, ModelOutputInvalid, QueueFull
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.crops import classify_crops
from app.runtime.engine import Turn
from app.runtime.loaded_model import Model
from app.vision import Crop

log = logging.getLogger(__name__)

TimedT = TypeVar("TimedT", bound=TimedResult)

_MAX_NUMBERS_ON_EVENT_LOOP = 200
"""Writing this many numbers takes half a millisecond; more are written on a thread."""


def admit(
    request: Request,
    service: Service,
    model: str | None,
    version: int | None,
    *,
    may_be_canary: bool = True,
    by_position: bool = False,
) -> Model:
    """Return the model for a request, or reject the request before its body is read.

    Args:
        request: the request.
        service: the service.
        model: the name; None for the default.
        version: the version; None for the serving one.
        may_be_canary: whether a canary may answer the request.
        by_position: whether only a canary with the same labels and input may.

    Raises:
        UnknownModel: no model has this name, or no such version.
        ModelNotReady: the model exists but is not ready.
        QueueFull: the queue has no room for another image.
        KeyLimitExceeded: the key may send no more images in this minute.
    """
    resolved = service.registry.resolve(model, version)
    check_room(request, service)
    if version is None and may_be_canary:
        request_id = record_of(request.scope).request_id
        return service.trials.answering(resolved, request_id, by_position=by_position)
    return resolved


def check_room(request: Request, service: Service) -> None:
    """Check that the queue has room for another image, and that the key may send it.

    Raises:
        QueueFull: the queue has no room.
        KeyLimitExceeded: the key may send no more images in this minute.
    """
    service.classifier.engine.check_room()
    if (use := use_of(request.scope)) is not None:
        use.check_images(1)


def deadline_of(request: Request, service: Service) -> float:
    """Return time.monotonic() at which a response is too late, from the request's first byte."""
    return record_of(request.scope).began + service.classifier.engine.deadline_s


def client_of(request: Request) -> str:
    """Return who sent a request: the address of its peer."""
    return request.client.host if request.client else ""


async def classify_photos(
    request: Request,
    service: Service,
    photos: Sequence[Photo],
    model: Model,
    query: Query,
    *,
    crops: Sequence[Crop] = (),
    all_probabilities: bool = False,
) -> Sequence[Classified | BaseException]:
    """Classify `photos` and return a result for each, or its error.

    With crops, the results are those of the only photo's crops. If it can't be used, its error is
    the only result.

    Args:
        request: the request; memory for its response is held until that is sent.
        service: the service.
        photos: encoded or decoded.
        model: the model.
        query: the labels that the response lists.
        crops: the parts of the only photo to classify; none: all of each photo.
        all_probabilities: whether the response has the probability of every label.

    Raises:
        BadParameter: there are crops, and several photos or an array.
        TooMuchMemory: the response needs more memory than the service ever has.
        QueueFull: the queue has no room for all photos, or there is no memory for the response.
        KeyLimitExceeded: the key may send no more images in this minute.
        ClientGone: the client left.
        DeadlinePassed: the results were not ready in time.
    """
    labels = len(model.manifest.labels)
    listed, numbers = min(query.top_k, labels), labels if all_probabilities else 0
    images = max(len(photos), len(crops))
    require_one_photo(crops, photos)
    record = record_of(request.scope)
    take_response(service.memory_budget, record, response_bytes(images, listed, numbers))
    shadow = service.trials.shadow_of(model)
    if shadow is not None:
        shadow = take_pixels(service, record, shadow, images)
        query = shadow.prepare(query)
    if len(crops) > 1:
        results = await _classify_crops(request, service, photos[0], model, query, crops)
    else:
        results = await _classify_each(request, service, photos, model, query, crops)
    if shadow is not None:
        run_after_response(service, record, shadow, results, photos, crops)
    return results


async def _classify_each(
    request: Request,
    service: Service,
    photos: Sequence[Photo],
    model: Model,
    query: Query,
    crops: Sequence[Crop],
) -> Sequence[Classified | BaseException]:
    """Classify photos, or the only crop of one."""
    if crops:
        query = replace(query, crop=crops[0])
    jobs = service.classifier.jobs(photos, model, query)
    results = await run_each(request, service, jobs, model)
    record = record_of(request.scope)
    observe_predictions(record, results, service, model, query)
    keep_photos(record, photos, results, service, model)
    return results


async def _classify_crops(
    request: Request,
    service: Service,
    photo: Photo,
    model: Model,
    query: Query,
    crops: Sequence[Crop],
) -> Sequence[Classified | BaseException]:
    """Classify several crops of one photo, which is one job: it is decoded once."""
    assert isinstance(photo, bytes)
    limits = service.classifier.limits
    job = partial(classify_crops, photo, model, query, crops, limits)
    (result,) = await run_each(request, service, [job], model, crops=len(crops))
    if isinstance(result, BaseException):
        return [result]
    record = record_of(request.scope)
    observe_predictions(record, result.results, service, model, query)
    keep_photos(record, [photo] * len(crops), result.results, service, model)
    return result.results


async def run_each(
    request: Request,
    service: Service,
    jobs: Sequence[Callable[[Turn], TimedT]],
    model: Model,
    *,
    crops: int = 0,
) -> Sequence[TimedT | BaseException]:
    """Run `jobs`, one per photo, on the engine and return a result for each, or its error.

    The results are counted for metrics and the log.

    Args:
        request: the request.
        service: the service.
        jobs: what to run for each photo.
        model: the model.
        crops: the number of crops of the only photo, each of which is an image for the key's limit.

    Raises:
        QueueFull: the queue has no room for all jobs.
        KeyLimitExceeded: the key may send no more images in this minute.
        ClientGone: the client left.
        DeadlinePassed: the results were not ready in time.
    """
    record = record_of(request.scope)
    record.model, record.version, record.images = model.name, model.version, len(jobs)
    deadline = deadline_of(request, service)
    if (use := use_of(request.scope)) is not None:
        use.check_images(max(len(jobs), crops))
    if record.trace is not None:
        jobs = record.trace.around(jobs)
    futures = service.classifier.engine.submit(*jobs, deadline=deadline, client=client_of(request))
    if use is not None:
        use.take_images(max(len(jobs), crops))
    service.metrics.images_per_request(len(jobs))
    results = await wait(futures, request, deadline)
    if len(results) > 1 and isinstance(results[0], QueueFull):
        _raise_if_all_refused(results)
    for result in results:
        if not isinstance(result, BaseException):
            record.add(result.stages)
            service.metrics.observe(result)
        elif isinstance(result, ModelOutputInvalid):
            service.metrics.invalid_outputs(model.name, model.version).inc()
            log.error("request %s: %s", record.request_id, result)
    return results


def _raise_if_all_refused(results: Sequence[object]) -> None:
    """Raise the first error if the queue has refused all photos of the request."""
    for result in results:
        if not isinstance(result, QueueFull):
            return
    raise cast(QueueFull, results[0])


def all_or_raise(results: Sequence[Classified | BaseException]) -> Sequence[Classified]:
    """Return the results, for protocols in which one bad image fails the request.

    Raises:
        HubelError: the first error among the results.
    """
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Classified)]


def failure_in_batch(error: BaseException, service: Service, request_id: str) -> Failure:
    """Count one rejected photo of a batch and return its place in the response.

    Raises:
        BaseException: `error` itself if it is unexpected; it fails the whole request.
    """
    if not isinstance(error, HubelError):
        raise error
    service.metrics.rejections(error.code).inc()
    return Failure(problem=problem_of(error, request_id))


async def write_response(write: Callable[[], Response], numbers: int) -> Response:
    """Call `write`, on a thread if its many numbers would block the event loop."""
    if numbers <= _MAX_NUMBERS_ON_EVENT_LOOP:
        return write()
    return await asyncio.to_thread(write)
