"""The OpenAPI descriptions of other servers' protocols: errors and bodies in their own formats."""

from collections.abc import Mapping
from typing import Any

from app import errors
from app.api.error_formats import ErrorFormat, message_only, torchserve
from app.api.problems import MEDIA_TYPE, openapi_responses
from app.api.schemas.problem_details import Problem
from app.errors import HubelError

IMAGE_ERRORS: tuple[type[HubelError], ...] = (
    errors.NotAnImage,
    errors.BadParameter,
    errors.UnknownModel,
    errors.BodyTooSlow,
    errors.TooManyBytes,
    errors.TooManyPixels,
    errors.TooMuchMemory,
    errors.UnsupportedFormat,
    errors.BrokenImage,
    errors.QueueFull,
    errors.ModelOutputInvalid,
    errors.ModelNotReady,
    errors.OutOfMemory,
    errors.DeadlinePassed,
)
"""The errors that any request with an image may get."""

FILE: Mapping[str, Any] = {"type": "string", "format": "binary"}

_SCHEMAS: Mapping[ErrorFormat, Mapping[str, Any]] = {
    message_only: {
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
    },
    torchserve: {
        "type": "object",
        "properties": {
            "code": {"type": "integer"},
            "type": {"type": "string"},
            "message": {"type": "string"},
        },
        "required": ["code", "type", "message"],
    },
}


def error_docs(
    error_format: ErrorFormat, *kinds: type[HubelError]
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors `kinds`, in a protocol's format."""
    documented = openapi_responses(*kinds)
    for response in documented.values():
        problems = response["content"].pop(MEDIA_TYPE)["examples"]
        response["content"]["application/json"] = {
            "schema": _SCHEMAS[error_format],
            "examples": {
                code: {"value": error_format(Problem(**example["value"]))}
                for code, example in problems.items()
            },
        }
    return documented


def response_docs(description: str, schema: Mapping[str, Any], example: Any) -> dict[str, Any]:
    """Return the OpenAPI description of a response in JSON."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"description": description, "content": content}


def json_body(schema: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a request body in JSON."""
    media = {"schema": schema, "examples": {name: {"value": v} for name, v in examples.items()}}
    return {"required": True, "content": {"application/json": media}}
