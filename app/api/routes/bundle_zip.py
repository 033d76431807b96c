"""GET /api/v1/models/{name}/versions/{version}/bundle.zip: the bundle of a model, to take along."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import StreamingResponse

from app import errors
from app.api.auth import KEY_ERRORS, require_admin, require_key
from app.api.problems import openapi_responses
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.bundle.zip_stream import BundleZip

router = APIRouter(
    prefix="/api/v1/models",
    tags=["models"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)


@router.get(
    "/{name}/versions/{version}/bundle.zip",
    summary="Download a model's bundle",
    dependencies=[Depends(require_admin)],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The bundle in the folders `<name>/<version>/`, as a models folder has "
            "it. Its files are stored, not packed.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **openapi_responses(
            errors.BadParameter, errors.Forbidden, errors.UnknownModel, errors.ModelNotReady
        ),
    },
)
async def download_bundle(
    name: str, version: Annotated[int, Path(ge=1)], service: ServiceDep
) -> StreamingResponse:
    """Send all files of a version's bundle as one zip. Requires the admin key."""
    bundle = service.registry.resolve(name, version).bundle
    archive = await asyncio.to_thread(BundleZip, bundle, f"{name}/{version}")
    return StreamingResponse(
        archive.pieces(),
        media_type="application/zip",
        headers={
            "Content-Length": str(archive.length),
            "Content-Disposition": f'attachment; filename="{name}-{version}.zip"',
            "Cache-Control": "no-store",
        },
    )
