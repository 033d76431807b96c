"""GET /api/v1/captures/{id}/image: the file of a kept photo, or a thumbnail of it.

the file -> (with `size`) a job of the engine: decode -> resize -> JPEG
"""

from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response

from app import captures, errors
from app.api.inference import client_of, deadline_of
from app.api.middleware.request_context import record_of
from app.api.problems import openapi_responses
from app.api.response_memory import take_response
from app.api.routes.capture_store import Id, captures_router, find, on_thread, recorder_of
from app.api.routes.capture_store import unknown_capture as unknown
from app.api.service import Service, ServiceDep
from app.api.waiting import wait
from app.captures import Recorder
from app.runtime.thumbnail import MAX_SIDE, MIN_SIDE, thumbnail

_HEADERS = {
    # Browsers keep it, and show it only to requests with the same key.
    "Cache-Control": "private, max-age=86400, immutable",
    "Vary": "Authorization, X-API-Key",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}

router = captures_router()


@router.get(
    "/{id}/image",
    summary="Return the file of a kept photo",
    response_class=Response,
    responses={
        200: {
            "description": "The file; with `size`, a JPEG.",
            "content": {"image/*": {}},
        },
        **openapi_responses(
            errors.BadParameter,
            errors.UnknownCapture,
            errors.TooMuchMemory,
            errors.QueueFull,
            errors.DeadlinePassed,
            errors.OutOfMemory,
            errors.BrokenImage,
            errors.TooManyPixels,
            errors.TooManyBytes,
            errors.UnsupportedFormat,
        ),
    },
)
async def show_image(
    id: Id,
    request: Request,
    service: ServiceDep,
    size: Annotated[
        int | None,
        Query(
            ge=MIN_SIDE,
            le=MAX_SIDE,
            description="Pixels of the longer side of a thumbnail. Unset: the file as it was kept.",
        ),
    ] = None,
) -> Response:
    """Return the file of a photo as it was kept, or a thumbnail of it."""
    recorder = recorder_of(service)
    capture = await on_thread(recorder, partial(find, recorder, id))
    record = record_of(request.scope)
    take_response(service.memory_budget, record, capture.bytes, "Request fewer at once.")
    data = await on_thread(recorder, partial(_file, recorder, capture))
    if size is None:
        return Response(data, media_type=f"image/{capture.format}", headers=_HEADERS)
    small = await _thumbnail(request, service, data, size)
    return Response(small, media_type="image/jpeg", headers=_HEADERS)


async def _thumbnail(request: Request, service: Service, data: bytes, size: int) -> bytes:
    """Make a thumbnail on the engine's threads, behind the photos that wait there.

    Raises:
        HubelError: the photo can't be decoded, or not now.
    """
    deadline = deadline_of(request, service)
    job = partial(thumbnail, data, size, service.classifier.limits)
    futures = service.classifier.engine.submit(job, deadline=deadline, client=client_of(request))
    (result,) = await wait(futures, request, deadline)
    if isinstance(result, BaseException):
        raise result
    return result


def _file(recorder: Recorder, capture: captures.Capture) -> bytes:
    """Return the file of a capture.

    Raises:
        UnknownCapture: it was deleted meanwhile.
    """
    try:
        return recorder.store.files.path(capture.sha256, capture.format).read_bytes()
    except FileNotFoundError as err:
        raise unknown(capture.id) from err
