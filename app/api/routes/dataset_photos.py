"""/api/v1/datasets/{name}/photos: photos with labels; sent, listed, shown and deleted."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import StringConstraints

from app import errors
from app.api.auth import KEY_ERRORS, require_key, require_label
from app.api.middleware.request_context import record_of
from app.api.problems import openapi_responses, problem_of
from app.api.request.body_file import body_file
from app.api.request.multipart import is_multipart
from app.api.request.photo_form import PhotoForm, mapped
from app.api.response_memory import take_response
from app.api.routes.datasets import store_of
from app.api.schemas.datasets import (
    MAX_IDS,
    DatasetPhotoList,
    PhotosAdded,
    PhotosDeleted,
    SkippedFile,
    added_response,
    photo_response,
)
from app.api.service import Service, ServiceDep
from app.api.store_thread import on_store_thread, store_failed
from app.api.unknown_parameters import forbid_unknown_parameters
from app.dataset_store import Added, DatasetStore, ZipPhotos
from app.dataset_store.names import check_name
from app.errors import BadParameter, UnknownPhoto, UnsupportedFormat

_MAX_PAGE = 500
_ZIP_TYPES = ("application/zip", "application/x-zip", "application/x-zip-compressed")
_RESULT_BYTES = 1000
"""Of what became of a photo: objects and JSON."""
_POSITION = re.compile(r"([0-9]{1,19})-([0-9a-f]{32})")

router = APIRouter(
    prefix="/api/v1/datasets/{name}/photos",
    tags=["datasets"],
    dependencies=[Depends(require_key), Depends(require_label), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, errors.Forbidden, errors.StoreOff, errors.StoreFailed),
)
Id = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]

_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Files with the label that they all have, or with several labels; or a zip "
        "with one folder of photos for each label, or with a labels.csv.",
        "content": {
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": _FILES,
                        "label": {"type": "string", "description": "The label of all files."},
                        "labels": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "In place of label: several labels, or an empty one "
                            "for none.",
                        },
                        "move": {
                            "type": "boolean",
                            "description": "Whether photos that the dataset has under other "
                            "labels get these instead.",
                        },
                    },
                    "required": ["file"],
                }
            },
        },
    }
}


@router.post(
    "",
    summary="Add photos to a dataset",
    responses=openapi_responses(
        errors.BadArchive,
        errors.BadParameter,
        errors.TooManyBytes,
        errors.TooManyFiles,
        errors.BodyTooSlow,
        errors.UnsupportedFormat,
        errors.QueueFull,
    ),
    openapi_extra=_BODY,
)
async def add_photos(
    name: str,
    request: Request,
    service: ServiceDep,
    move: Annotated[
        bool,
        Query(
            description="Whether photos that the dataset has under other labels get these instead."
        ),
    ] = False,
) -> PhotosAdded:
    """Add photos with their labels; make the dataset if there is none.

    Photos are kept without their metadata. A photo that is there already is kept once. The problem
    of one file doesn't affect the others.
    """
    store = store_of(service)
    check_name(name)
    content_type = request.headers.get("content-type", "")
    is_zip = content_type.partition(";")[0].strip().lower() in _ZIP_TYPES
    if not is_zip and not is_multipart(content_type):
        raise UnsupportedFormat(
            "Send the photos as files of multipart/form-data, with the form field label; or a zip "
            "with a folder for each label, as application/zip."
        )
    limits, uploads = service.limits, service.upload_limits
    with service.body_budget.hold() as share:
        try:
            async with body_file(
                request,
                store.new_file(),
                max_bytes=uploads.max_bytes if is_zip else limits.max_body_bytes,
                times=uploads.times,
                memory=service.body_budget,
                executor=store.executor,
            ) as path:
                size = path.stat().st_size
                share.grow_to(min(size, limits.max_body_bytes) + min(size, limits.max_image_bytes))
                work = (
                    partial(_add_zip, store, name, path, service, move=move)
                    if is_zip
                    else partial(_add_form, store, name, path, content_type, service, move=move)
                )
                added, skipped = await on_store_thread(store.executor, work)
        except OSError as err:
            raise store_failed(err) from err
    record = record_of(request.scope)
    size = _RESULT_BYTES * len(added.results)
    take_response(service.memory_budget, record, size, "Send fewer photos at once.")
    return added_response(added, skipped, lambda err: problem_of(err, record.request_id))


def _add_form(
    store: DatasetStore, name: str, path: Path, content_type: str, service: Service, *, move: bool
) -> tuple[Added, list[SkippedFile]]:
    with mapped(path) as body:
        form = PhotoForm(body, content_type, service.limits.max_files)
        return store.add(name, form.photos(), move=move or form.move), []


def _add_zip(
    store: DatasetStore, name: str, path: Path, service: Service, *, move: bool
) -> tuple[Added, list[SkippedFile]]:
    with ZipPhotos(path, service.upload_limits.zip, service.limits.max_image_bytes) as photos:
        added = store.add(name, photos, move=move)
    return added, [SkippedFile(file=file, reason=reason) for file, reason in photos.skipped]


@router.get(
    "",
    summary="List the photos of a dataset",
    responses=openapi_responses(errors.BadParameter, errors.UnknownDataset),
)
async def list_photos(
    name: str,
    service: ServiceDep,
    label: Annotated[str | None, Query(description="Only photos with this label.")] = None,
    count: Annotated[int, Query(ge=1, le=_MAX_PAGE, description="Photos of a page.")] = 100,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> DatasetPhotoList:
    """Return a page of the photos of a dataset, the newest first."""
    store = store_of(service)
    work = partial(store.photos, name, label, _position(after), count)
    photos, end = await on_store_thread(store.executor, work)
    return DatasetPhotoList(
        photos=[photo_response(photo) for photo in photos],
        next=None if end is None else f"{end[0]}-{end[1]}",
    )


@router.get(
    "/{id}/image",
    summary="Return the file of a photo",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"image/*": {}}},
        **openapi_responses(
            errors.UnknownDataset,
            errors.UnknownPhoto,
            errors.TooMuchMemory,
            errors.QueueFull,
        ),
    },
)
async def show_image(name: str, id: str, request: Request, service: ServiceDep) -> Response:
    """Return the file of a photo as it is kept: without metadata."""
    store = store_of(service)
    path, format, size = await on_store_thread(store.executor, partial(store.photo, name, id))
    record = record_of(request.scope)
    take_response(service.memory_budget, record, size, "Request fewer at once.")
    data = await on_store_thread(store.executor, partial(_file, path, id))
    headers = {
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(data, media_type=f"image/{format}", headers=headers)


@router.delete(
    "",
    summary="Delete photos of a dataset",
    responses=openapi_responses(errors.BadParameter, errors.UnknownDataset),
)
async def delete_photos(
    name: str,
    service: ServiceDep,
    id: Annotated[list[Id], Query(min_length=1, max_length=MAX_IDS, description="Their ids.")],
) -> PhotosDeleted:
    """Delete photos with their files; ids that don't exist are skipped."""
    store = store_of(service)
    work = partial(store.delete_photos, name, id)
    return PhotosDeleted(changed=await on_store_thread(store.executor, work))


def _file(path: Path, id: str) -> bytes:
    """Return the file of a photo.

    Raises:
        UnknownPhoto: it was deleted, or got another label, meanwhile.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as err:
        raise UnknownPhoto(f"The photo {id} was changed meanwhile. Try again.") from err


def _position(after: str | None) -> tuple[int, str] | None:
    """Return time and id of the photo after which a page begins.

    Raises:
        BadParameter: `after` is no token of a page.
    """
    if after is None:
        return None
    found = _POSITION.fullmatch(after)
    if found is None:
        raise BadParameter("after is no `next` of a page. Send it as it came.")
    return int(found[1]), found[2]
