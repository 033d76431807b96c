"""The format of errors in each protocol, selected by the request's path."""

from collections.abc import Callable, Mapping
from typing import Any

from app.api.schemas.problem_details import Problem

ErrorFormat = Callable[[Problem], Mapping[str, Any]]
"""A function that returns the JSON of an error."""


def message_only(problem: Problem) -> Mapping[str, Any]:
    """Return the error for Open Inference Protocol, Hugging Face and TensorFlow Serving."""
    return {"error": problem.detail}


def torchserve(problem: Problem) -> Mapping[str, Any]:
    """Return the error for TorchServe; its `type` is a Java class there and our `code` here."""
    return {"code": problem.status, "type": problem.code, "message": problem.detail}


_FORMATS: Mapping[str, ErrorFormat] = {
    "/v2": message_only,
    "/hf": message_only,
    "/v1": message_only,
    "/predictions": torchserve,
    "/ping": torchserve,
}


def format_of(path: str) -> ErrorFormat | None:
    """Return the format of errors below `path`, or None for problem details (RFC 9457)."""
    first = "/" + path.split("/", 2)[1] if path.startswith("/") else path
    return _FORMATS.get(first)
