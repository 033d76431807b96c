"""POST /api/v1/uploads: an ONNX file for an import, or a bundle as a zip for the models folder."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

from fastapi import APIRouter, Depends, Request

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.problems import openapi_responses
from app.api.request.body_file import body_file
from app.api.request.multipart import is_multipart
from app.api.schemas.uploads import UploadResult, bundle_response, onnx_response
from app.api.service import Service, ServiceDep
from app.api.store_thread import on_store_thread, store_failed
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import StoreOff, UnsupportedFormat
from app.uploads import UnpackedBundle, Upload, UploadFiles, unpack_bundle

router = APIRouter(
    prefix="/api/v1/uploads",
    tags=["models"],
    dependencies=[Depends(require_key), Depends(require_admin), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, errors.Forbidden, errors.StoreOff, errors.StoreFailed),
)
_ZIP = b"PK"
_FILE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "An ONNX file, or the folder of a bundle as a zip.",
        "content": {"application/octet-stream": _FILE, "application/zip": _FILE},
    }
}


@router.post(
    "",
    summary="Send a model",
    responses=openapi_responses(
        errors.NotAModel,
        errors.BadArchive,
        errors.TooManyBytes,
        errors.TooMuchMemory,
        errors.BodyTooSlow,
        errors.UnsupportedFormat,
        errors.QueueFull,
        errors.BundleInvalid,
        errors.BundleMismatch,
        errors.ModelsReadOnly,
        errors.PinFileInvalid,
    ),
    openapi_extra=_BODY,
)
async def send_model(request: Request, service: ServiceDep) -> UploadResult:
    """Keep an ONNX file for an import, or put a bundle into the models folder.

    A job `{"import": {"upload": id, …}}` makes a bundle of an ONNX file; the file is removed after
    a day. A bundle is verified as all bundles are, and held back: it is loaded, and serves those
    who name its version, until a reload with its version selects it. Requires the admin key.
    """
    uploads = _uploads_of(service)
    if is_multipart(request.headers.get("content-type", "")):
        raise UnsupportedFormat(
            "Send the file itself as the body, for example with curl --data-binary @model.onnx."
        )
    try:
        async with body_file(
            request,
            uploads.new_file(),
            max_bytes=service.upload_limits.max_bytes,
            times=service.upload_limits.times,
            memory=service.body_budget,
            executor=uploads.executor,
        ) as path:
            if not await on_store_thread(uploads.executor, partial(_is_zip, path)):
                upload: Upload = await on_store_thread(
                    uploads.executor, partial(uploads.keep, path)
                )
                return onnx_response(upload)
            return await _install(path, uploads, service)
    except OSError as err:
        raise store_failed(err) from err


async def _install(path: Path, uploads: UploadFiles, service: Service) -> UploadResult:
    """Unpack, verify and install the bundle in a zip."""
    folder = uploads.new_folder()
    limits = service.upload_limits.zip
    try:
        unpacked: UnpackedBundle = await on_store_thread(
            uploads.executor, partial(unpack_bundle, path, folder, limits)
        )
        install = partial(service.install_bundle, folder)
        await asyncio.get_running_loop().run_in_executor(service.model_changes, install)
        return bundle_response(unpacked)
    finally:
        await on_store_thread(uploads.executor, partial(shutil.rmtree, folder, ignore_errors=True))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _uploads_of(service: Service) -> UploadFiles:
    if service.uploads is None:
        raise StoreOff("The service keeps no uploads. Start it with HUBEL_DATA_DIR.")
    return service.uploads
