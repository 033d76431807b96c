"""The HTTP form of errors: `application/problem+json` (RFC 9457), or another protocol's format.

HubelError, parameters that FastAPI rejects, 404, 405 and unexpected errors become responses here.
`STATUS` is the only table from error classes to HTTP statuses.
"""

import json
import uuid
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app import errors
from app.api.error_formats import format_of
from app.api.middleware.request_context import record_of
from app.api.routing import allowed_methods
from app.api.schemas.problem_details import EXAMPLE_ID, Problem
from app.api.security_headers import SECURITY_HEADERS, lines_of
from app.errors import HubelError, QueueFull, out_of_memory

MEDIA_TYPE = "application/problem+json"
_SECURITY_LINES = lines_of(SECURITY_HEADERS)

STATUS: dict[type[HubelError], int] = {
    errors.NotAnImage: 400,
    errors.UnsupportedFormat: 415,
    errors.BrokenImage: 422,
    errors.TooManyBytes: 413,
    errors.TooManyPixels: 413,
    errors.TooMuchMemory: 413,
    errors.TooManyFiles: 413,
    errors.BadArchive: 400,
    errors.NotAModel: 400,
    errors.BadParameter: 400,
    errors.ModelRequired: 400,
    errors.BodyTooSlow: 408,
    errors.Unauthenticated: 401,
    errors.TooManyWrongKeys: 429,
    errors.KeyLimitExceeded: 429,
    errors.Forbidden: 403,
    errors.UnknownModel: 404,
    errors.ModelNotReady: 503,
    errors.NotInModel: 404,
    errors.ModelOutputInvalid: 500,
    errors.BundleInvalid: 409,
    errors.BundleMismatch: 409,
    errors.BundleMissing: 409,
    errors.PinFileInvalid: 409,
    errors.ModelStoreUnavailable: 503,
    errors.QueueFull: 429,
    errors.OutOfMemory: 503,
    errors.DeadlinePassed: 504,
    errors.ClientGone: 499,  # nginx's status, for log and metrics only: the client has left
    errors.StoreOff: 404,
    errors.UnknownCapture: 404,
    errors.UnknownDataset: 404,
    errors.UnknownPhoto: 404,
    errors.UnknownUpload: 404,
    errors.StoreFull: 413,
    errors.StoreFailed: 503,
    errors.TrainingUnavailable: 501,
    errors.ModelsReadOnly: 409,
    errors.UnknownJob: 404,
    errors.JobConflict: 409,
    errors.UnknownIndex: 404,
    errors.IndexInvalid: 409,
    errors.DeviceUnavailable: 503,
}
NOT_READY_RETRY_S = 5
_RETRY_LATER = (
    errors.ModelNotReady,
    errors.ModelStoreUnavailable,
    errors.DeviceUnavailable,
    errors.OutOfMemory,
)


def problem_of(err: HubelError, request_id: str) -> Problem:
    """Return the problem for `err`."""
    return _make_problem(STATUS[type(err)], err.code, err.title, err.message, request_id)


def _make_problem(status: int, code: str, title: str, detail: str, request_id: str) -> Problem:
    return Problem(
        type=f"urn:hubel:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )


def _problem_response(request: Request, problem: Problem, headers: dict[str, str]) -> Response:
    media_type, body = _render_problem(request.scope["path"], problem)
    return Response(body, problem.status, headers, media_type)


def _render_problem(path: str, problem: Problem) -> tuple[str, bytes]:
    """Return media type and body, in the error format of the protocol at `path`."""
    error_format = format_of(path)
    if error_format is None:
        return MEDIA_TYPE, problem.model_dump_json().encode()
    return "application/json", json.dumps(error_format(problem)).encode()


def error_response(request: Request, err: HubelError) -> Response:
    """Return the response for `err`."""
    record = record_of(request.scope)
    record.code = err.code
    headers = {}
    if isinstance(err, QueueFull | errors.TooManyWrongKeys | errors.KeyLimitExceeded):
        headers["Retry-After"] = str(err.retry_after_s)
    elif isinstance(err, _RETRY_LATER):
        headers["Retry-After"] = str(NOT_READY_RETRY_S)
    elif isinstance(err, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return _problem_response(request, problem_of(err, record.request_id), headers)


async def _on_hubel_error(request: Request, err: Exception) -> Response:
    return error_response(request, cast(HubelError, err))


async def _on_bad_parameter(request: Request, err: Exception) -> Response:
    first = cast(RequestValidationError, err).errors()[0]
    parameter = " ".join(str(part) for part in first["loc"])
    text = f"The {parameter} is invalid: {first['msg']}. See /docs for the accepted values."
    return error_response(request, errors.BadParameter(text))


async def _on_http_error(request: Request, err: Exception) -> Response:
    http = cast(HTTPException, err)
    texts = {
        404: ("not_found", "Not found", f"There is nothing at {request.url.path}. See /docs."),
        405: (
            "method_not_allowed",
            "Method not allowed",
            f"{request.url.path} does not support {request.method}. See /docs.",
        ),
    }
    code, title, detail = texts.get(http.status_code, ("http_error", "Error", str(http.detail)))
    record = record_of(request.scope)
    record.code = code
    problem = _make_problem(http.status_code, code, title, detail, record.request_id)
    headers = dict(http.headers or {})
    if http.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed_methods(request.app.routes, request.scope["path"])
    return _problem_response(request, problem, headers)


def unexpected_response(scope: Scope, err: Exception) -> Response:
    """Return the response for an unexpected error: 503 if memory is used up, else 500."""
    if expected := out_of_memory(err):
        return error_response(Request(scope), expected)
    record = record_of(scope)
    record.code = "internal"
    text = "An unexpected error occurred in the service. See its log for this request id."
    problem = _make_problem(500, "internal", "Internal error", text, record.request_id)
    return _problem_response(Request(scope), problem, {})


def problem_bytes(
    path: str, kind: type[HubelError], detail: str, request_id: str
) -> tuple[str, bytes]:
    """Return media type and body of an error for a request to `path`."""
    problem = _make_problem(STATUS[kind], kind.code, kind.title, detail, request_id)
    return _render_problem(path, problem)


def raw_http_problem(
    status: int, code: str, title: str, text: str, retry_after_s: int | None = None
) -> bytes:
    """Return a complete HTTP response, for a request that never reaches the application."""
    request_id = uuid.uuid4().hex
    body = _make_problem(status, code, title, text, request_id).model_dump_json().encode()
    retry = "" if retry_after_s is None else f"retry-after: {retry_after_s}\r\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\nconnection: close\r\n{retry}"
    )
    return head.encode() + _SECURITY_LINES + b"\r\n" + body


def install(app: FastAPI) -> None:
    """Register the handlers that turn the errors of `app` into responses."""
    app.add_exception_handler(HubelError, _on_hubel_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)


def openapi_responses(*kinds: type[HubelError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors `kinds`."""
    by_status: dict[int, list[type[HubelError]]] = {}
    for kind in kinds:
        by_status.setdefault(STATUS[kind], []).append(kind)
    return {
        status: {
            "description": "; ".join(f"`{kind.code}`: {_sentence(kind)}" for kind in group),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {kind.code: {"value": _example(kind)} for kind in group},
                }
            },
        }
        for status, group in by_status.items()
    }


def _example(kind: type[HubelError]) -> dict[str, Any]:
    status, detail = STATUS[kind], f"{_sentence(kind)}."
    return _make_problem(status, kind.code, kind.title, detail, EXAMPLE_ID).model_dump()


def _sentence(kind: type[HubelError]) -> str:
    return (kind.__doc__ or "").splitlines()[0].rstrip(".")
