"""/api/v1/captures: the photos that were kept; /api/v1/feedback: what a client says about one.

Every access to the store is on a thread, since it waits for the disk.
"""

import asyncio
import base64
import binascii
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from app import captures, errors
from app.api.auth import KEY_ERRORS, KEY_NAME, require_key, require_label
from app.api.middleware.request_context import record_of
from app.api.problems import openapi_responses
from app.api.request.json_body import read_json_body
from app.api.response_memory import take_response
from app.api.schemas.captures import (
    MAX_IDS,
    Capture,
    CaptureList,
    Changed,
    Feedback,
    FeedbackKept,
    LabelChange,
    LabelChanges,
    capture_response,
)
from app.api.service import Service, ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.captures import Filter, Recorder, database
from app.captures.rows import Position, capture_of, page_of
from app.errors import BadParameter, StoreFailed, StoreOff, UnknownCapture

_MAX_PAGE = 500
_BODY_ERRORS = (
    errors.BadParameter,
    errors.TooManyBytes,
    errors.BodyTooSlow,
    errors.QueueFull,
    errors.UnsupportedFormat,
)
_STORE_ERRORS = (errors.StoreOff, errors.StoreFailed)

router = APIRouter(
    prefix="/api/v1/captures",
    tags=["captures"],
    dependencies=[Depends(require_key), Depends(require_label), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, errors.Forbidden, *_STORE_ERRORS),
)
feedback_router = APIRouter(
    prefix="/api/v1/feedback",
    tags=["captures"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, *_STORE_ERRORS),
)

Id = Annotated[int, Field(ge=1, lt=1 << 63)]
ResultT = TypeVar("ResultT")


def _body_of(kind: type) -> dict[str, object]:
    """Return what the OpenAPI document says about a JSON body."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.get("", summary="List kept photos", responses=openapi_responses(errors.BadParameter))
async def list_captures(
    service: ServiceDep,
    model: Annotated[str | None, Query(description="Only photos that this model saw.")] = None,
    decision: Annotated[
        Literal["accepted", "unsure", "unknown"] | None, Query(description="Only this decision.")
    ] = None,
    label: Annotated[str | None, Query(description="Only with this label of people.")] = None,
    predicted: Annotated[
        str | None, Query(description="Only with this label as the most probable one.")
    ] = None,
    labelled: Annotated[
        bool | None, Query(description="Only photos about which somebody, or nobody, has said.")
    ] = None,
    since: Annotated[datetime | None, Query(description="Only from this time on.")] = None,
    until: Annotated[datetime | None, Query(description="Only before this time.")] = None,
    order: Annotated[
        Literal["newest", "unsure"], Query(description="`unsure`: the least confident first.")
    ] = "newest",
    count: Annotated[int, Query(ge=1, le=_MAX_PAGE, description="Photos of a page.")] = 100,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> CaptureList:
    """Return a page of the photos that were kept. Requires a key with the scope label."""
    recorder = _recorder(service)
    wanted = Filter(
        model, decision, label, predicted, labelled, _milliseconds(since), _milliseconds(until)
    )
    position = None if after is None else _position(after)

    def read() -> CaptureList:
        with database.reading(recorder.store.folder) as connection:
            found, end = page_of(connection, wanted, order, position, count)
        return CaptureList(
            captures=[capture_response(capture) for capture in found],
            next=None if end is None else _token(end),
        )

    return await _on_thread(recorder, read)


@router.patch(
    "",
    summary="Label several kept photos",
    responses=openapi_responses(*_BODY_ERRORS),
    openapi_extra=_body_of(LabelChanges),
)
async def label_captures(request: Request, service: ServiceDep) -> Changed:
    """Give several photos the same labels, or take them back; ids that don't exist are skipped."""
    recorder = _recorder(service)
    change = await read_json_body(request, service, LabelChanges)
    changed = await _on_thread(
        recorder, partial(_label, recorder, change.ids, change, _key_name(request))
    )
    return Changed(changed=len(changed))


@router.delete("", summary="Delete several kept photos", responses=openapi_responses(BadParameter))
async def delete_captures(
    service: ServiceDep,
    id: Annotated[list[Id], Query(min_length=1, max_length=MAX_IDS, description="Their ids.")],
) -> Changed:
    """Delete photos with their files; ids that don't exist are skipped."""
    recorder = _recorder(service)
    return Changed(changed=await _on_thread(recorder, partial(recorder.delete, id)))


@router.get(
    "/{id}",
    summary="Describe a kept photo",
    responses=openapi_responses(errors.BadParameter, errors.UnknownCapture),
)
async def show_capture(id: Id, service: ServiceDep) -> Capture:
    """Return what is known about a photo that was kept."""
    recorder = _recorder(service)
    return capture_response(await _on_thread(recorder, partial(_find, recorder, id)))


@router.get(
    "/{id}/image",
    summary="Return the file of a kept photo",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"image/*": {}}},
        **openapi_responses(
            errors.BadParameter, errors.UnknownCapture, errors.TooMuchMemory, errors.QueueFull
        ),
    },
)
async def show_image(id: Id, request: Request, service: ServiceDep) -> Response:
    """Return the file of a photo as it was kept."""
    recorder = _recorder(service)
    capture = await _on_thread(recorder, partial(_find, recorder, id))
    record = record_of(request.scope)
    take_response(service.memory_budget, record, capture.bytes, "Request fewer at once.")
    data = await _on_thread(recorder, partial(_file, recorder, capture))
    headers = {
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(data, media_type=f"image/{capture.format}", headers=headers)


@router.patch(
    "/{id}",
    summary="Label a kept photo",
    responses=openapi_responses(*_BODY_ERRORS, errors.UnknownCapture),
    openapi_extra=_body_of(LabelChange),
)
async def label_capture(id: Id, request: Request, service: ServiceDep) -> Capture:
    """Give a photo its labels, or take them back."""
    recorder = _recorder(service)
    change = await read_json_body(request, service, LabelChange)
    changed = await _on_thread(
        recorder, partial(_label, recorder, [id], change, _key_name(request))
    )
    if not changed:
        raise _unknown(id)
    return capture_response(changed[0])


@router.delete(
    "/{id}",
    summary="Delete a kept photo",
    responses=openapi_responses(errors.BadParameter, errors.UnknownCapture),
)
async def delete_capture(id: Id, service: ServiceDep) -> Changed:
    """Delete a photo and its file."""
    recorder = _recorder(service)
    if not await _on_thread(recorder, partial(recorder.delete, [id])):
        raise _unknown(id)
    return Changed(changed=1)


@feedback_router.post(
    "",
    summary="Say which labels a photo has",
    responses=openapi_responses(*_BODY_ERRORS, errors.UnknownCapture),
    openapi_extra=_body_of(Feedback),
)
async def give_feedback(request: Request, service: ServiceDep) -> FeedbackKept:
    """Keep the photo of a recent request, with the labels that it should have got."""
    recorder = _recorder(service)
    feedback = await read_json_body(request, service, Feedback)
    keep = partial(
        recorder.feedback,
        feedback.request_id,
        feedback.index,
        feedback.names,
        wrong=feedback.wrong,
        by=_key_name(request),
    )
    capture = await _on_thread(recorder, keep)
    if capture is None:
        raise UnknownCapture(
            f"Photo {feedback.index} of request {feedback.request_id!r} is not at hand. Send "
            "feedback soon after the response; photos of requests with crop, and arrays, are not "
            "kept."
        )
    return FeedbackKept(
        request_id=feedback.request_id,
        index=feedback.index,
        model=capture.model,
        version=capture.version,
        labels=None if capture.labels is None else list(capture.labels),
        wrong=capture.wrong,
    )


def _recorder(service: Service) -> Recorder:
    if service.captures is None:
        raise StoreOff("The service keeps no photos. Start it with HUBEL_DATA_DIR.")
    return service.captures.recorder


async def _on_thread(recorder: Recorder, work: Callable[[], ResultT]) -> ResultT:
    """Run `work` on a thread of the store.

    Raises:
        StoreFailed: the store can't be read or changed.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(recorder.executor, work)
    except (OSError, sqlite3.Error) as err:
        raise StoreFailed(
            f"The store of photos can't be used now ({err}). Look at the disk of HUBEL_DATA_DIR."
        ) from err


def _find(recorder: Recorder, id: int) -> captures.Capture:
    with database.reading(recorder.store.folder) as connection:
        capture = capture_of(connection, id)
    if capture is None:
        raise _unknown(id)
    return capture


def _file(recorder: Recorder, capture: captures.Capture) -> bytes:
    """Return the file of a capture.

    Raises:
        UnknownCapture: it was deleted meanwhile.
    """
    try:
        return recorder.store.files.path(capture.sha256, capture.format).read_bytes()
    except FileNotFoundError as err:
        raise _unknown(capture.id) from err


def _label(
    recorder: Recorder, ids: list[int], change: LabelChange, by: str | None
) -> list[captures.Capture]:
    return recorder.store.label(ids, change.names, wrong=change.wrong, by=by)


def _unknown(id: int) -> UnknownCapture:
    return UnknownCapture(f"There is no photo {id}. It was deleted, or made room for newer ones.")


def _key_name(request: Request) -> str | None:
    name: str | None = request.scope["state"].get(KEY_NAME)
    return name


def _milliseconds(time: datetime | None) -> int | None:
    """Return milliseconds since 1970; a time without a zone is in UTC."""
    if time is None:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e3)


def _token(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _position(token: str) -> Position:
    try:
        value, id = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        position = Position(float(value), int(id))
        if not 0 <= position.id < 1 << 63:
            raise ValueError
        return position
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as err:
        raise BadParameter("after is no `next` of a page. Send it as it came.") from err
