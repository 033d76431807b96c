"""GET /api/v1/indexes: the indexes of photos that can be searched."""

from fastapi import APIRouter, Depends

from app.api.auth import KEY_ERRORS, require_key
from app.api.problems import openapi_responses
from app.api.schemas.similar import Index, Indexes
from app.api.service import ServiceDep
from app.api.unknown_parameters import forbid_unknown_parameters
from app.errors import HubelError
from app.runtime.registry import Registry
from app.runtime.served_indexes import ServedIndex, ServedIndexes, model_of

router = APIRouter(
    prefix="/api/v1",
    tags=["similar photos"],
    dependencies=[Depends(require_key), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS),
)


@router.get("/indexes", summary="List the indexes of photos")
async def list_indexes(service: ServiceDep) -> Indexes:
    """List the indexes that can be searched for similar photos; none if the service has none."""
    indexes = service.indexes
    if indexes is None:
        return Indexes(indexes=[])
    return Indexes(indexes=[_index_of(each, indexes, service.registry) for each in indexes.served])


def _index_of(served: ServedIndex, indexes: ServedIndexes, registry: Registry) -> Index:
    manifest = served.index.manifest
    ready, reason = True, indexes.fault_of(served.name)
    try:
        model_of(manifest, served.name, registry)
    except HubelError as err:
        ready, reason = False, err.message
    return Index(
        name=served.name,
        model=manifest.model.name,
        version=manifest.model.version,
        photos=manifest.count,
        dimension=manifest.dimension,
        thumbnails=manifest.thumbnails > 0,
        created=manifest.created,
        ready=ready,
        reason=reason,
    )
