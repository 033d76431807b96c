"""Errors as `application/problem+json` (RFC 9457): the one table from the tree to a status.

HubelError, a parameter that FastAPI refuses, 404, 405 and the unexpected all leave through here.
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
from app.api.error_shapes import shape_of
from app.api.middleware.request_context import facts_of
from app.api.schemas.problem_details import EXAMPLE_ID, Problem
from app.errors import HubelError, QueueFull

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[HubelError], int] = {
    errors.NotAnImage: 400,
    errors.UnsupportedFormat: 415,
    errors.BrokenImage: 422,
    errors.TooManyBytes: 413,
    errors.TooManyPixels: 413,
    errors.TooManyFiles: 413,
    errors.BadParameter: 400,
    errors.BodyTooSlow: 408,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.UnknownModel: 404,
    errors.ModelNotReady: 503,
    errors.NotInModel: 404,
    errors.BundleInvalid: 409,
    errors.BundleMismatch: 409,
    errors.QueueFull: 429,
    errors.DeadlinePassed: 504,
    errors.ClientGone: 499,  # nginx's: nobody is there to read it; for the log and the metrics
    errors.DeviceUnavailable: 503,
}
NOT_READY_RETRY_S = 5


def problem_of(err: HubelError, request_id: str) -> Problem:
    """The problem that tells of `err`."""
    return _problem(STATUS[type(err)], err.code, err.title, err.message, request_id)


def _problem(status: int, code: str, title: str, detail: str, request_id: str) -> Problem:
    return Problem(
        type=f"urn:hubel:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )


def _answer(request: Request, problem: Problem, headers: dict[str, str]) -> Response:
    media_type, body = _rendered(request.scope, problem)
    return Response(body, problem.status, headers, media_type)


def _rendered(scope: Scope, problem: Problem) -> tuple[str, bytes]:
    """Media type and body, in the shape of the protocol that was spoken."""
    shape = shape_of(scope["path"])
    if shape is None:
        return MEDIA_TYPE, problem.model_dump_json().encode()
    return "application/json", json.dumps(shape(problem)).encode()


def respond(request: Request, err: HubelError) -> Response:
    """The answer that tells of `err`."""
    facts = facts_of(request.scope)
    facts.code = err.code
    headers = {}
    if isinstance(err, QueueFull):
        headers["Retry-After"] = str(err.retry_after_s)
    elif isinstance(err, errors.ModelNotReady | errors.DeviceUnavailable):
        headers["Retry-After"] = str(NOT_READY_RETRY_S)
    elif isinstance(err, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(request, problem_of(err, facts.request_id), headers)


async def _on_hubel_error(request: Request, err: Exception) -> Response:
    return respond(request, cast(HubelError, err))


async def _on_bad_parameter(request: Request, err: Exception) -> Response:
    first = cast(RequestValidationError, err).errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    text = f"The {where} is wrong: {first['msg']}. See /docs for what is accepted."
    return respond(request, errors.BadParameter(text))


async def _on_http_error(request: Request, err: Exception) -> Response:
    http = cast(HTTPException, err)
    texts = {
        404: ("not_found", "Not found", f"There is nothing at {request.url.path}. See /docs."),
        405: (
            "method_not_allowed",
            "Method not allowed",
            f"{request.method} is not for {request.url.path}. See /docs.",
        ),
    }
    code, title, detail = texts.get(http.status_code, ("http_error", "Error", str(http.detail)))
    facts = facts_of(request.scope)
    facts.code = code
    problem = _problem(http.status_code, code, title, detail, facts.request_id)
    return _answer(request, problem, dict(http.headers or {}))


def internal_problem(scope: Scope) -> tuple[str, bytes]:
    """Media type and body for an unexpected error; its traceback is in the log."""
    text = "Something failed inside the service. Its log holds the cause, under this request id."
    request_id = facts_of(scope).request_id
    return _rendered(scope, _problem(500, "internal", "Internal error", text, request_id))


def bare_problem(status: int, code: str, title: str, text: str) -> bytes:
    """A whole HTTP answer, for what is refused before it is a request."""
    request_id = uuid.uuid4().hex
    body = _problem(status, code, title, text, request_id).model_dump_json().encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem."""
    app.add_exception_handler(HubelError, _on_hubel_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)


def responses(*kinds: type[HubelError]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the errors `kinds`."""
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
    return _problem(status, kind.code, kind.title, detail, EXAMPLE_ID).model_dump()


def _sentence(kind: type[HubelError]) -> str:
    return (kind.__doc__ or "").splitlines()[0].rstrip(".")
