"""The start of every request with photos: admission, body, and the parameters of query and form.

    raw body   -> admit -> check -> read the body
    multipart  -> is there room? -> read the body -> merge query and fields -> admit -> check

A form may name the model, so the model is known only once the form is read. What the query says
about it is checked before that.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request

from app.api.inference import admit, check_room
from app.api.request.crops import parse_crops, require_one_photo
from app.api.request.multipart import is_multipart
from app.api.request.parameters import PhotoParameters
from app.api.request.photos import Photos, read_form, read_photo
from app.api.service import Service
from app.errors import ModelNotReady
from app.memory_budget import MemoryShare
from app.runtime.loaded_model import Model
from app.vision import Crop

ParametersT = TypeVar("ParametersT", bound=PhotoParameters)


@dataclass(frozen=True)
class PhotoRequest(Generic[ParametersT]):
    """An admitted request whose body was read."""

    model: Model
    parameters: ParametersT
    photos: Photos
    crops: Sequence[Crop] = ()
    """The parts of the only photo that the request selects; none: the whole of each photo."""

    @property
    def has_several_results(self) -> bool:
        """True if the response has a result for each photo or crop."""
        return self.photos.has_several or len(self.crops) > 1


def _named(parameters: PhotoParameters) -> tuple[str | None, int | None]:
    """Return the name and version of the model that the request names."""
    return parameters.model, parameters.version


def _accept(model: Model, parameters: PhotoParameters) -> None:
    """Accept every combination of model and parameters."""


async def read_request(
    request: Request,
    service: Service,
    share: MemoryShare,
    query: ParametersT,
    check: Callable[[Model, ParametersT], object] = _accept,
    *,
    may_be_canary: bool = False,
    select: Callable[[ParametersT], tuple[str | None, int | None]] = _named,
) -> PhotoRequest[ParametersT]:
    """Admit a request, and read its photos and parameters.

    Args:
        request: the request.
        service: the service.
        share: the counter of the request's bytes in memory.
        query: the parameters of the query.
        check: raises an error if the model can't do what the parameters request; of a raw body,
            before it is read.
        may_be_canary: whether a canary may answer the request.
        select: returns the name and version of the model; None for the default, and for the
            serving version.

    Raises:
        ModelError: there is no such model, or it is not ready.
        InputError: the body is too large, too slow, or not what its content type says; or a
            parameter is invalid.
        QueueFull: there is no room for another image or for its bytes.
        ClientGone: the client left before the body was complete.
    """
    if not is_multipart(request.headers.get("content-type", "")):
        model = admit(request, service, *select(query), may_be_canary=may_be_canary)
        check(model, query)
        crops = parse_crops(query.crop, service.limits.max_files)
        photo = await read_photo(request, service, share)
        return PhotoRequest(model, query, Photos([photo]), crops)
    parse_crops(query.crop, service.limits.max_files)
    check_room(request, service)
    if query.model is not None and select is _named:
        with suppress(ModelNotReady):  # the form may name another version, which is ready
            service.registry.resolve(query.model, query.version)
    form = await read_form(request, service, share)
    parameters = query.with_fields(form.fields, form.crops)
    model = admit(request, service, *select(parameters), may_be_canary=may_be_canary)
    check(model, parameters)
    crops = parse_crops(parameters.crop, service.limits.max_files)
    require_one_photo(crops, form.files)
    return PhotoRequest(model, parameters, Photos(form.files), crops)
