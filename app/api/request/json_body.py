"""A JSON body of Hubel's own API: limited in size, then validated."""

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.request.body import read_body
from app.api.service import Service
from app.errors import BadParameter

MAX_BYTES = 1024 * 1024
"""The largest body of JSON without images."""

ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_json_body(request: Request, service: Service, kind: type[ModelT]) -> ModelT:
    """Read the body and return it as a `kind`.

    Raises:
        BadParameter: it is no JSON, or isn't as `kind` describes it.
        TooManyBytes: it is longer than a megabyte.
        BodyTooSlow: it didn't arrive in time.
        QueueFull: there is no memory for it now.
        ClientGone: the client left.
        UnsupportedFormat: it is compressed.
    """
    with service.body_budget.hold() as share:
        body = await read_body(request, MAX_BYTES, service.limits, share)
        try:
            return kind.model_validate_json(body)
        except ValidationError as err:
            first = err.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise BadParameter(
                f"The {where} is invalid: {first['msg']}. See /docs for the body's format."
            ) from err
