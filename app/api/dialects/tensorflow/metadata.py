"""The routes GET /v1/models/{model}[/versions/{version}][/metadata]: state and signatures.

A version's state is AVAILABLE, or END with the reason.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from pydantic import AfterValidator, BeforeValidator

from app import errors
from app.api.dialects.openapi import error_docs, response_docs
from app.api.error_formats import message_only
from app.api.service import Service, ServiceDep
from app.errors import ModelNotReady
from app.runtime.catalogue import Entry
from app.runtime.loaded_model import Model
from app.vision import CANVAS_SHAPE

router = APIRouter()
"""The routes below /v1/models."""

Version = Annotated[int, Path(ge=1)]


def _reject_verb(segment: str) -> str:
    """Reject GET for the paths of `predict` and `classify`, which the routes below match, too."""
    if segment.endswith((":predict", ":classify")):
        raise HTTPException(405)
    return segment


_Model = Annotated[str, AfterValidator(_reject_verb)]
_Version = Annotated[Version, BeforeValidator(_reject_verb)]

_STATUS: Mapping[str, Any] = {
    "model_version_status": [
        {
            "version": "1",
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
    ]
}
_UNKNOWN = error_docs(message_only, errors.BadParameter, errors.UnknownModel)
_METADATA: dict[str, Any] = {
    "responses": error_docs(
        message_only, errors.BadParameter, errors.UnknownModel, errors.ModelNotReady
    )
}


@router.get(
    "/{model}",
    summary="The state of a model's versions",
    responses={200: response_docs("All versions.", {"type": "object"}, _STATUS), **_UNKNOWN},
)
async def status(service: ServiceDep, model: _Model) -> dict[str, Any]:
    """Return AVAILABLE, or END with the reason why a version is not ready."""
    return _status(service, model, None)


@router.get(
    "/{model}/versions/{version}",
    summary="The state of one version",
    responses={200: response_docs("The version.", {"type": "object"}, _STATUS), **_UNKNOWN},
)
async def status_by_version(
    service: ServiceDep, model: _Model, version: _Version
) -> dict[str, Any]:
    """Return AVAILABLE, or END with the reason why a version is not ready."""
    return _status(service, model, version)


@router.get("/{model}/metadata", summary="A model's signatures", **_METADATA)
async def metadata(service: ServiceDep, model: _Model) -> dict[str, Any]:
    """Return names, types and shapes of inputs and outputs, for the serving version."""
    return metadata_of(service.registry.resolve(model))


@router.get("/{model}/versions/{version}/metadata", summary="One version's signatures", **_METADATA)
async def metadata_by_version(
    service: ServiceDep, model: _Model, version: _Version
) -> dict[str, Any]:
    """Return names, types and shapes of inputs and outputs."""
    return metadata_of(service.registry.resolve(model, version))


def _status(service: Service, model: str, version: int | None) -> dict[str, Any]:
    with suppress(ModelNotReady):  # the version's status holds the reason
        service.registry.resolve(model, version)
    entries = [entry for entry in service.registry.entries if entry.name == model]
    return status_of([entry for entry in entries if version in (None, entry.version)])


def status_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the status of one model's versions: AVAILABLE, or END with the reason.

    A folder whose version can't be read has version 0, which no model can have.
    """
    return {"model_version_status": [_version_status(entry) for entry in entries]}


def _version_status(entry: Entry) -> dict[str, Any]:
    code, message = ("OK", "") if entry.ready else ("FAILED_PRECONDITION", entry.reason or "")
    return {
        "version": str(entry.version or 0),
        "state": "AVAILABLE" if entry.ready else "END",
        "status": {"error_code": code, "error_message": message},
    }


def metadata_of(model: Model) -> dict[str, Any]:
    """Return the model's signatures. Their names are informative: a body needs no signature."""
    labels = len(model.manifest.labels)
    files = {"image_bytes": _tensor("image_bytes", "DT_STRING", -1)}
    probabilities = {"probabilities": _tensor("probabilities", "DT_FLOAT", -1, labels)}
    classes = {
        "classes": _tensor("classes", "DT_STRING", -1, labels),
        "scores": _tensor("scores", "DT_FLOAT", -1, labels),
    }
    signatures = {
        "serving_default": _signature("predict", files, probabilities),
        "canvas": _signature("predict", _pixels(CANVAS_SHAPE), probabilities),
        "pixels": _signature("predict", _pixels(model.manifest.input.shape), probabilities),
        "classify": _signature("classify", files, classes),
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _signature(method: str, inputs: Any, outputs: Any) -> dict[str, Any]:
    name = f"tensorflow/serving/{method}"
    return {"inputs": inputs, "outputs": outputs, "method_name": name}


def _pixels(shape: tuple[int, int, int]) -> dict[str, Any]:
    return {"image": _tensor("image", "DT_UINT8", -1, *shape)}


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    dim = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": False}, "name": name}
