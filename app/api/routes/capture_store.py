"""Parts that the routes of captures share: their router, and access to the store on its threads."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from pydantic import Field

from app import captures, errors
from app.api.auth import KEY_ERRORS, require_key, require_label
from app.api.problems import openapi_responses
from app.api.service import Service
from app.api.store_thread import on_store_thread
from app.api.unknown_parameters import forbid_unknown_parameters
from app.captures import Recorder, database
from app.captures.rows import capture_of
from app.errors import StoreOff, UnknownCapture

STORE_ERRORS = (errors.StoreOff, errors.StoreFailed)

Id = Annotated[int, Field(ge=1, lt=1 << 63)]
ResultT = TypeVar("ResultT")


def captures_router() -> APIRouter:
    """Return a router of /api/v1/captures, whose routes need the scope label."""
    return APIRouter(
        prefix="/api/v1/captures",
        tags=["captures"],
        dependencies=[
            Depends(require_key),
            Depends(require_label),
            Depends(forbid_unknown_parameters),
        ],
        responses=openapi_responses(*KEY_ERRORS, errors.Forbidden, *STORE_ERRORS),
    )


def recorder_of(service: Service) -> Recorder:
    """Return what keeps photos.

    Raises:
        StoreOff: the service keeps none.
    """
    if service.captures is None:
        raise StoreOff("The service keeps no photos. Start it with HUBEL_DATA_DIR.")
    return service.captures.recorder


async def on_thread(recorder: Recorder, work: Callable[[], ResultT]) -> ResultT:
    """Run `work` on a thread of the store.

    Raises:
        StoreFailed: the store can't be read or changed.
    """
    return await on_store_thread(recorder.executor, work)


def find(recorder: Recorder, id: int) -> captures.Capture:
    """Return a capture; call it on a thread of the store.

    Raises:
        UnknownCapture: there is no such.
    """
    with database.reading(recorder.store.folder) as connection:
        capture = capture_of(connection, id)
    if capture is None:
        raise unknown_capture(id)
    return capture


def unknown_capture(id: int) -> UnknownCapture:
    """Return the error for an id that no capture has."""
    return UnknownCapture(f"There is no photo {id}. It was deleted, or made room for newer ones.")
