"""GET /api/v1/models/{name}/report/: what training said of a model, as it lies in its bundle."""

import asyncio
import mimetypes
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse

from app import errors
from app.api.auth import require_key
from app.api.problems import responses
from app.api.schemas.classification import REPORT
from app.api.service import ServiceDep
from app.errors import NotInModel
from app.runtime.loaded_model import Model

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key)],
    responses=responses(errors.Unauthenticated),
)

_FOLDER, _INDEX = REPORT.split("/")
_HEADERS = {
    # One file with its styles and pictures inside, which runs nothing and asks for nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox",
    "Cache-Control": "no-cache",
}
_REPORT = {
    200: {
        "description": "The report's page, or a picture of it.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    },
    **responses(errors.BadParameter, errors.UnknownModel, errors.NotInModel, errors.ModelNotReady),
}
Version = Annotated[int | None, Query(ge=1, description="Unset: the highest.")]


@router.get(
    "/{name}/report/",
    summary="What did training say of this model?",
    response_class=FileResponse,
    responses=_REPORT,
)
async def read_report(name: str, service: ServiceDep, version: Version = None) -> FileResponse:
    """The training report: what was found in the photos, curves, figures, mistakes."""
    return await asyncio.to_thread(_file, service.registry.resolve(name, version), _INDEX)


@router.get("/{name}/report/{path:path}", include_in_schema=False)
async def read_report_file(
    name: str, path: str, service: ServiceDep, version: Version = None
) -> FileResponse:
    """A file that the report's page refers to."""
    return await asyncio.to_thread(_file, service.registry.resolve(name, version), path)


def _file(model: Model, path: str) -> FileResponse:
    """A file of the report; only those that bundle.json lists, by exactly that name, are any.

    Raises:
        NotInModel: there is no such file.
        ModelNotReady: it is not the one any more that was verified.
    """
    listed = f"{_FOLDER}/{path}"
    if listed not in model.manifest.files:
        raise NotInModel(
            f"Model {model.name!r} has no {listed}. `hubel train` writes a report into the bundle."
        )
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return FileResponse(model.bundle.unchanged(listed), media_type=kind, headers=_HEADERS)
