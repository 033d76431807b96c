"""GET /api/v1/models/{name}/report/: the training report in a model's bundle."""

import asyncio
import mimetypes

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, RedirectResponse

from app import errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.problems import openapi_responses
from app.api.request.parameters import Version
from app.api.schemas.models import REPORT
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import NotInModel
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)

_FOLDER, _INDEX = REPORT.split("/")
_HEADERS = {
    # The report is one file with inline styles, pictures and fonts, without scripts and requests.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-downloads",
    "Cache-Control": "no-cache",
}
_REPORT = {
    200: {
        "description": "The report's page.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    },
    **openapi_responses(
        errors.BadParameter, errors.UnknownModel, errors.NotInModel, errors.ModelNotReady
    ),
}


@router.get(
    "/{name}/report/",
    summary="Read a model's training report",
    response_class=FileResponse,
    responses=_REPORT,
)
async def read_report(name: str, service: ServiceDep, version: Version = None) -> FileResponse:
    """Return the training report: findings in the data, curves, metrics and mistakes."""
    return await asyncio.to_thread(_file, service.registry.resolve(name, version), _INDEX)


@router.get("/{name}/report", include_in_schema=False)
async def redirect_to_report(version: Version = None) -> RedirectResponse:
    """Redirect to the URL with a slash, which the links of the report's page are relative to."""
    return RedirectResponse("report/" if version is None else f"report/?version={version}")


@router.get("/{name}/report/{path:path}", include_in_schema=False)
async def read_report_file(
    name: str, path: str, service: ServiceDep, version: Version = None
) -> FileResponse:
    """Return a file that the report's page refers to."""
    return await asyncio.to_thread(_file, service.registry.resolve(name, version), path)


def _file(model: Model, path: str) -> FileResponse:
    """Return a file of the report, if bundle.json lists exactly its name.

    Raises:
        NotInModel: bundle.json does not list the file.
        ModelNotReady: the file has changed since it was verified.
    """
    name = f"{_FOLDER}/{path}"
    if name not in model.manifest.files:
        raise NotInModel(
            f"Model {model.name!r} has no {name}. `hubel train` writes a report into the bundle."
        )
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return FileResponse(model.bundle.verified_path(name), media_type=kind, headers=_HEADERS)
