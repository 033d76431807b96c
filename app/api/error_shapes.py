"""The shape that each protocol gives to its errors, by the path that was asked for."""

from collections.abc import Callable, Mapping
from typing import Any

from app.api.schemas.problem_details import Problem

Shape = Callable[[Problem], Mapping[str, Any]]


def error_alone(problem: Problem) -> Mapping[str, Any]:
    """Open Inference Protocol, Hugging Face and TensorFlow Serving."""
    return {"error": problem.detail}


def torchserve(problem: Problem) -> Mapping[str, Any]:
    """TorchServe; `type` is Java's there, our own code here."""
    return {"code": problem.status, "type": problem.code, "message": problem.detail}


_SHAPES: Mapping[str, Shape] = {
    "/v2": error_alone,
    "/hf": error_alone,
    "/v1": error_alone,
    "/predictions": torchserve,
    "/ping": torchserve,
}


def shape_of(path: str) -> Shape | None:
    """The shape of errors below `path`; None for our own."""
    first = "/" + path.split("/", 2)[1] if path.startswith("/") else path
    return _SHAPES.get(first)
