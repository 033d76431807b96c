"""/api/v1/jobs: training runs beside the service; their progress as server-sent events."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.middleware.request_context import record_of
from app.api.problems import openapi_responses
from app.api.request.json_body import read_json_body
from app.api.schemas.jobs import JobList
from app.api.service import Service, ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import StoreFailed, StoreOff, UnknownJob
from app.jobs.job import ENDED, Job, JobRequest
from app.jobs.runner import JobRunner

_ALIVE_S = 15.0
"""A comment line keeps the connection through proxies."""
_LOOK_S = 0.5
"""How soon a stream sees that the service ends."""

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["jobs"],
    dependencies=[Depends(require_key), Depends(require_admin), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, errors.Forbidden, errors.StoreOff, errors.StoreFailed),
)

ResultT = TypeVar("ResultT")
_CHECKS = (
    errors.TrainingUnavailable,
    errors.ModelsReadOnly,
    errors.TooMuchMemory,
    errors.QueueFull,
)


@router.post(
    "",
    status_code=202,
    summary="Train or import a model beside the service",
    responses=openapi_responses(
        errors.BadParameter,
        errors.TooManyBytes,
        errors.BodyTooSlow,
        errors.UnsupportedFormat,
        errors.UnknownDataset,
        errors.UnknownUpload,
        *_CHECKS,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}}
            },
        }
    },
)
async def submit_job(request: Request, response: Response, service: ServiceDep) -> Job:
    """Queue a training run or an import. One job runs at a time. Requires the admin key.

    It runs in a process of its own, with lower priority and limited memory. The new version is
    compared with the one that serves; then it is promoted, offered or held back.
    """
    runner = _runner(service)
    body = await read_json_body(request, service, JobRequest)
    job = await _on_thread(partial(runner.submit, body))
    response.headers["Location"] = f"{request.url.path}/{job.id}"
    return job


@router.get("", summary="List the jobs")
async def list_jobs(service: ServiceDep) -> JobList:
    """Return the jobs, the newest first. Requires the admin key.

    Only the job itself has the pictures of its comparison.
    """
    return JobList(jobs=[job.without_pictures() for job in _runner(service).jobs()])


@router.get("/{id}", summary="Describe a job", responses=openapi_responses(errors.UnknownJob))
async def show_job(id: str, service: ServiceDep) -> Job:
    """Return a job with its progress, and its result once it has one. Requires the admin key."""
    return _runner(service).get(id)


@router.get(
    "/{id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `event: job`, `id: N` and `data:` with the job as "
            "JSON, at once and at every change. Lines that begin with `:` keep the connection. "
            "The stream ends after an ended state.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **openapi_responses(errors.UnknownJob, errors.QueueFull),
    },
)
async def follow_job(id: str, request: Request, service: ServiceDep) -> StreamingResponse:
    """Send the job at every change, until it has ended. Requires the admin key."""
    runner = _runner(service)
    runner.get(id)
    events = _events(runner, id, lambda: service.lifecycle.draining)
    first = await anext(events)  # an error comes as a response of its own
    record_of(request.scope).is_stream = True
    return StreamingResponse(
        _continued(first, events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.post(
    "/{id}/resume",
    status_code=202,
    summary="Resume an interrupted job",
    responses=openapi_responses(errors.UnknownJob, errors.JobConflict, *_CHECKS),
)
async def resume_job(id: str, service: ServiceDep) -> Job:
    """Queue an interrupted job again. Requires the admin key.

    finetune and scratch continue after their last whole epoch; head begins again.
    """
    return await _on_thread(partial(_runner(service).resume, id))


@router.delete(
    "/{id}",
    summary="Cancel a job, or remove its record",
    responses={
        204: {"description": "The job had ended; its record is removed."},
        **openapi_responses(errors.UnknownJob, errors.JobConflict),
    },
)
async def cancel_job(id: str, response: Response, service: ServiceDep) -> Job | None:
    """Cancel a queued or running job; remove the record of an ended one. Requires the admin key."""
    job = await _on_thread(partial(_runner(service).cancel, id))
    if job is None:
        response.status_code = 204
    return job


def _runner(service: Service) -> JobRunner:
    if service.jobs is None:
        raise StoreOff("The service has no folder for jobs. Start it with HUBEL_DATA_DIR.")
    return service.jobs


async def _on_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run `work` on a thread.

    Raises:
        StoreFailed: the folder of the jobs can't be read or written.
    """
    try:
        return await asyncio.to_thread(work)
    except (OSError, sqlite3.Error) as err:
        raise StoreFailed(
            f"The folder of jobs can't be used now ({err}). Look at the disk of HUBEL_DATA_DIR."
        ) from err


async def _continued(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


async def _events(
    runner: JobRunner, id: str, is_draining: Callable[[], bool]
) -> AsyncGenerator[str, None]:
    """Yield the events of a job until it has ended, its record is gone, or the service ends."""
    loop = asyncio.get_running_loop()
    with runner.events.follow() as changed, suppress(UnknownJob):
        sent, sent_at = -1, loop.time()
        while True:
            changed.clear()
            number, job = runner.state_of(id)
            if number != sent:
                yield f"id: {number}\nevent: job\ndata: {job.model_dump_json()}\n\n"
                sent, sent_at = number, loop.time()
            elif loop.time() - sent_at >= _ALIVE_S:
                yield ": the job goes on\n\n"
                sent_at = loop.time()
            if job.state in ENDED or is_draining():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _LOOK_S)
