"""/api/v1/datasets: labelled photos for training; listed, changed and deleted.

`dataset_photos` adds and shows the photos in them.
"""

from functools import partial

from fastapi import APIRouter, Depends, Request

from app import errors
from app.api.auth import KEY_ERRORS, require_key, require_label
from app.api.problems import openapi_responses
from app.api.request.json_body import read_json_body
from app.api.schemas.datasets import (
    Dataset,
    DatasetChange,
    DatasetList,
    PhotosDeleted,
    dataset_response,
)
from app.api.service import Service, ServiceDep
from app.api.store_thread import on_store_thread
from app.api.unknown_parameters import forbid_unknown_parameters
from app.dataset_store import DatasetStore
from app.errors import StoreOff

router = APIRouter(
    prefix="/api/v1/datasets",
    tags=["datasets"],
    dependencies=[Depends(require_key), Depends(require_label), Depends(forbid_unknown_parameters)],
    responses=openapi_responses(*KEY_ERRORS, errors.Forbidden, errors.StoreOff, errors.StoreFailed),
)
_CHANGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DatasetChange"}}},
    }
}


@router.get("", summary="List the datasets")
async def list_datasets(service: ServiceDep) -> DatasetList:
    """Return all datasets with their labels and warnings. Requires a key with the scope label."""
    store = store_of(service)

    def read() -> DatasetList:
        return DatasetList(
            datasets=[dataset_response(dataset) for dataset in store.list_datasets()]
        )

    return await on_store_thread(store.executor, read)


@router.get(
    "/{name}",
    summary="Describe a dataset",
    responses=openapi_responses(errors.UnknownDataset),
)
async def show_dataset(name: str, service: ServiceDep) -> Dataset:
    """Return the labels of a dataset, their photos, and what a model would learn badly from."""
    store = store_of(service)
    return dataset_response(await on_store_thread(store.executor, partial(store.show, name)))


@router.patch(
    "/{name}",
    summary="Rename, merge or remove labels",
    responses=openapi_responses(
        errors.BadParameter,
        errors.UnknownDataset,
        errors.TooManyBytes,
        errors.BodyTooSlow,
        errors.QueueFull,
        errors.UnsupportedFormat,
    ),
    openapi_extra=_CHANGE_BODY,
)
async def change_dataset(name: str, request: Request, service: ServiceDep) -> Dataset:
    """Rename labels, merge them where the new name exists, and remove others with their photos."""
    store = store_of(service)
    change = await read_json_body(request, service, DatasetChange)
    work = partial(store.relabel, name, change.rename, change.remove)
    return dataset_response(await on_store_thread(store.executor, work))


@router.delete(
    "/{name}",
    summary="Delete a dataset",
    responses=openapi_responses(errors.UnknownDataset),
)
async def delete_dataset(name: str, service: ServiceDep) -> PhotosDeleted:
    """Delete a dataset with its photos. Files in its folder that Hubel didn't make stay."""
    store = store_of(service)
    photos = await on_store_thread(store.executor, partial(store.delete, name))
    return PhotosDeleted(changed=photos)


def store_of(service: Service) -> DatasetStore:
    """Return the store of the service's datasets.

    Raises:
        StoreOff: it has none.
    """
    if service.datasets is None:
        raise StoreOff("The service keeps no datasets. Start it with HUBEL_DATA_DIR.")
    return service.datasets
