"""GET /api/v1/captures/ids and /counts: all photos of a list at once, for pages that show them."""

from typing import Annotated

from fastapi import Query, Response

from app.api.problems import openapi_responses
from app.api.routes.capture_store import captures_router, on_thread, recorder_of
from app.api.schemas.capture_lists import (
    MAX_LISTED,
    CaptureCounts,
    CaptureIds,
    IdsParameters,
    counts_response,
)
from app.api.service import ServiceDep
from app.captures import database
from app.captures.counts import counts_of
from app.captures.review_order import ordered_ids
from app.errors import BadParameter

router = captures_router()


@router.get(
    "/ids",
    summary="List the ids of kept photos",
    response_model=CaptureIds,
    responses=openapi_responses(BadParameter),
)
async def list_ids(service: ServiceDep, query: Annotated[IdsParameters, Query()]) -> Response:
    """Return the ids of a whole list; `GET /api/v1/captures?id=…` describes its photos."""
    recorder = recorder_of(service)

    def read() -> Response:
        with database.reading(recorder.store.folder) as connection:
            found = ordered_ids(connection, query.filter, query.order, MAX_LISTED + 1)
        listed = CaptureIds(ids=found[:MAX_LISTED], more=len(found) > MAX_LISTED)
        return Response(listed.model_dump_json(), media_type="application/json")

    return await on_thread(recorder, read)


@router.get("/counts", summary="Count kept photos", responses=openapi_responses(BadParameter))
async def count_captures(
    service: ServiceDep,
    model: Annotated[str | None, Query(description="Only photos that this model saw.")] = None,
) -> CaptureCounts:
    """Return how many photos were kept, by model, decision, prediction and label."""
    recorder = recorder_of(service)

    def read() -> CaptureCounts:
        with database.reading(recorder.store.folder) as connection:
            return counts_response(counts_of(connection, model))

    return await on_thread(recorder, read)
