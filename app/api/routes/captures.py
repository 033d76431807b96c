"""/api/v1/captures: the photos that were kept; /api/v1/feedback: what a client says about one.

Every access to the store is on a thread, since it waits for the disk.
"""

import base64
import binascii
import json
import math
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from app import captures, errors
from app.api.auth import KEY_ERRORS, KEY_NAME, require_key
from app.api.problems import openapi_responses
from app.api.request.json_body import read_json_body
from app.api.routes.capture_store import (
    STORE_ERRORS,
    Id,
    captures_router,
    find,
    on_thread,
    recorder_of,
    unknown_capture,
)
from app.api.schemas.capture_lists import ListParameters
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
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.captures import Recorder, database
from app.captures.rows import Position, page_of
from app.errors import BadParameter, UnknownCapture

_BODY_ERRORS = (
    errors.BadParameter,
    errors.TooManyBytes,
    errors.BodyTooSlow,
    errors.QueueFull,
    errors.UnsupportedFormat,
)

router = captures_router()
feedback_router = APIRouter(
    prefix="/api/v1/feedback",
    tags=["captures"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, *STORE_ERRORS),
)


def _body_of(kind: type) -> dict[str, object]:
    """Return what the OpenAPI document says about a JSON body."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.get("", summary="List kept photos", responses=openapi_responses(errors.BadParameter))
async def list_captures(
    service: ServiceDep, query: Annotated[ListParameters, Query()]
) -> CaptureList:
    """Return a page of the photos that were kept. Requires a key with the scope label."""
    recorder = recorder_of(service)
    position = None if query.after is None else _position(query.after)

    def read() -> CaptureList:
        with database.reading(recorder.store.folder) as connection:
            found, end = page_of(connection, query.filter, query.order, position, query.count)
        return CaptureList(
            captures=[capture_response(capture) for capture in found],
            next=None if end is None else _token(end),
        )

    return await on_thread(recorder, read)


@router.patch(
    "",
    summary="Label several kept photos",
    responses=openapi_responses(*_BODY_ERRORS),
    openapi_extra=_body_of(LabelChanges),
)
async def label_captures(request: Request, service: ServiceDep) -> Changed:
    """Give several photos the same labels, or take them back; ids that don't exist are skipped."""
    recorder = recorder_of(service)
    change = await read_json_body(request, service, LabelChanges)
    changed = await on_thread(
        recorder, partial(_label, recorder, change.ids, change, _key_name(request))
    )
    return Changed(changed=len(changed))


@router.delete("", summary="Delete several kept photos", responses=openapi_responses(BadParameter))
async def delete_captures(
    service: ServiceDep,
    id: Annotated[list[Id], Query(min_length=1, max_length=MAX_IDS, description="Their ids.")],
) -> Changed:
    """Delete photos with their files; ids that don't exist are skipped."""
    recorder = recorder_of(service)
    return Changed(changed=await on_thread(recorder, partial(recorder.delete, id)))


@router.get(
    "/{id}",
    summary="Describe a kept photo",
    responses=openapi_responses(errors.BadParameter, errors.UnknownCapture),
)
async def show_capture(id: Id, service: ServiceDep) -> Capture:
    """Return what is known about a photo that was kept."""
    recorder = recorder_of(service)
    return capture_response(await on_thread(recorder, partial(find, recorder, id)))


@router.patch(
    "/{id}",
    summary="Label a kept photo",
    responses=openapi_responses(*_BODY_ERRORS, errors.UnknownCapture),
    openapi_extra=_body_of(LabelChange),
)
async def label_capture(id: Id, request: Request, service: ServiceDep) -> Capture:
    """Give a photo its labels, or take them back."""
    recorder = recorder_of(service)
    change = await read_json_body(request, service, LabelChange)
    changed = await on_thread(recorder, partial(_label, recorder, [id], change, _key_name(request)))
    if not changed:
        raise unknown_capture(id)
    return capture_response(changed[0])


@router.delete(
    "/{id}",
    summary="Delete a kept photo",
    responses=openapi_responses(errors.BadParameter, errors.UnknownCapture),
)
async def delete_capture(id: Id, service: ServiceDep) -> Changed:
    """Delete a photo and its file."""
    recorder = recorder_of(service)
    if not await on_thread(recorder, partial(recorder.delete, [id])):
        raise unknown_capture(id)
    return Changed(changed=1)


@feedback_router.post(
    "",
    summary="Say which labels a photo has",
    responses=openapi_responses(*_BODY_ERRORS, errors.UnknownCapture),
    openapi_extra=_body_of(Feedback),
)
async def give_feedback(request: Request, service: ServiceDep) -> FeedbackKept:
    """Keep the photo of a recent request, with the labels that it should have got."""
    recorder = recorder_of(service)
    feedback = await read_json_body(request, service, Feedback)
    keep = partial(
        recorder.feedback,
        feedback.request_id,
        feedback.index,
        feedback.names,
        wrong=feedback.wrong,
        by=_key_name(request),
    )
    capture = await on_thread(recorder, keep)
    if capture is None:
        raise UnknownCapture(
            f"Photo {feedback.index} of request {feedback.request_id!r} is not at hand. Send "
            "feedback soon after the response; arrays are not kept."
        )
    return FeedbackKept(
        request_id=feedback.request_id,
        index=feedback.index,
        model=capture.model,
        version=capture.version,
        labels=None if capture.labels is None else list(capture.labels),
        wrong=capture.wrong,
    )


def _label(
    recorder: Recorder, ids: list[int], change: LabelChange, by: str | None
) -> list[captures.Capture]:
    return recorder.store.label(ids, change.names, wrong=change.wrong, by=by)


def _key_name(request: Request) -> str | None:
    name: str | None = request.scope["state"].get(KEY_NAME)
    return name


def _token(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _position(token: str) -> Position:
    try:
        value, id = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        position = Position(float(value), int(id))
        if not (math.isfinite(position.value) and 0 <= position.id < 1 << 63):
            raise ValueError
        return position
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as err:
        raise BadParameter("after is no `next` of a page. Send it as it came.") from err
