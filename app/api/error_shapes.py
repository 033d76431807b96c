"""The shape of errors in each protocol, selected by the request's path."""

from collections.abc import Callable, Mapping
from typing import Any

from app.api.schemas.problem_details import Problem

Shape = Callable[[Problem], Mapping[str, Any]]


def error_alone(problem: Problem) -> Mapping[str, Any]:
    """Return the error for Open Inference Protocol, Hugging Face and TensorFlow Serving."""
    return {"error": problem.detail}


def torchserve(problem: Problem) -> Mapping[str, Any]:
    """Return the error for TorchServe; its `type` is a Java class there and our `code` here."""
    return {"code": problem.status, "type": problem.code, "message": problem.detail}


_SHAPES: Mapping[str, Shape] = {
    "/v2": error_alone,
    "/hf": error_alone,
    "/v1": error_alone,
    "/predictions": torchserve,
    "/ping": torchserve,
}


def shape_of(path: str) -> Shape | None:
    """Return the shape of errors below `path`, or None for problem details (RFC 9457)."""
    first = "/" + path.split("/", 2)[1] if path.startswith("/") else path
    return _SHAPES.get(first)
