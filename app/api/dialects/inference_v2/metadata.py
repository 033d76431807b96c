"""The routes GET /v2 and below /v2/models: the models that are ready, and their tensors.

The input is described as UINT8 [-1, 480, 480, 3], although BYTES and resized arrays are accepted
too. The protocol allows one datatype per tensor. With UINT8, generic clients (perf_analyzer,
Triton's image_client) make valid requests.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from app import __version__, errors
from app.api.auth import KEY_ERRORS, require_key
from app.api.dialects.inference_v2.request import INPUT, OUTPUT
from app.api.dialects.inference_v2.schemas import (
    ModelConfig,
    ModelMetadata,
    ModelNames,
    ModelReady,
    ServerMetadata,
    TensorConfig,
    TensorMetadata,
)
from app.api.dialects.openapi import error_docs
from app.api.error_formats import message_only
from app.api.service import Service, ServiceDep
from app.errors import ModelNotReady
from app.runtime.loaded_model import Model
from app.vision import CANVAS

Version = Annotated[int, Path(ge=1, description="A version of the model.")]
"""Version 0 is none: Triton's clients leave the version out for the serving one."""
_BAD_VERSION = error_docs(message_only, errors.BadParameter)

_EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository"]
_PLATFORM = "onnxruntime_onnx"
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "The model is not ready, or the service is draining.",
        "model": ModelReady,
    }
}

router = APIRouter(
    dependencies=[Depends(require_key)], responses=error_docs(message_only, *KEY_ERRORS)
)
_models_router = APIRouter(
    prefix="/models/{name}",
    responses=error_docs(message_only, errors.UnknownModel, errors.ModelNotReady),
)


@router.get("", summary="v2: the server")
async def describe_server() -> ServerMetadata:
    """Return name, version and supported extensions."""
    return ServerMetadata(name="hubel", version=__version__, extensions=_EXTENSIONS)


@router.get("/models", summary="v2: the models that are ready")
async def list_names(service: ServiceDep) -> ModelNames:
    """Return the names of the models that are ready. The repository index lists the others too."""
    ready = [entry.name for entry in service.registry.entries if entry.ready]
    return ModelNames(models=list(dict.fromkeys(ready)))


@_models_router.get("", summary="v2: a model's inputs and outputs")
async def describe_model(name: str, service: ServiceDep) -> ModelMetadata:
    """Return the model's tensors and its versions.

    The input accepts more than is described here: BYTES `[n]` or `[n, 1]` (encoded images), UINT8
    `[n, 480, 480, 3]` (canvases, RGB) and UINT8 `[n, H, W, 3]` (the model's input). H and W are
    `input.size` of `/api/v1/models/{name}`: a number where both are the same.
    """
    return _metadata_of(service, service.registry.resolve(name))


@_models_router.get(
    "/versions/{version}",
    summary="v2: one version's inputs and outputs",
    responses=_BAD_VERSION,
)
async def describe_version(name: str, version: Version, service: ServiceDep) -> ModelMetadata:
    """Return one version's tensors."""
    return _metadata_of(service, service.registry.resolve(name, version))


@_models_router.get("/config", summary="v2: a model's Triton configuration")
async def configure_model(name: str, service: ServiceDep) -> ModelConfig:
    """Return the parts of Triton's model configuration that clients read."""
    return _config_of(service, service.registry.resolve(name))


@_models_router.get(
    "/versions/{version}/config",
    summary="v2: one version's Triton configuration",
    responses=_BAD_VERSION,
)
async def configure_version(name: str, version: Version, service: ServiceDep) -> ModelConfig:
    """Return the parts of Triton's model configuration that clients read, for one version."""
    return _config_of(service, service.registry.resolve(name, version))


@_models_router.get("/ready", summary="v2: whether a model is ready", responses=_NOT_READY)
async def model_ready(name: str, service: ServiceDep, response: Response) -> ModelReady:
    """Return 200 if the model is ready; 503 if it isn't, and after SIGTERM."""
    return _readiness(service, response, name, None)


@_models_router.get(
    "/versions/{version}/ready",
    summary="v2: whether one version is ready",
    responses={**_NOT_READY, **_BAD_VERSION},
)
async def version_ready(
    name: str, version: Version, service: ServiceDep, response: Response
) -> ModelReady:
    """Return 200 if the version is ready; 503 if it isn't, and after SIGTERM."""
    return _readiness(service, response, name, version)


def _metadata_of(service: Service, model: Model) -> ModelMetadata:
    labels = len(model.manifest.labels)
    return ModelMetadata(
        name=model.name,
        versions=[str(number) for number in _versions(service, model.name)],
        platform=_PLATFORM,
        inputs=[TensorMetadata(name=INPUT, datatype="UINT8", shape=[-1, CANVAS, CANVAS, 3])],
        outputs=[TensorMetadata(name=OUTPUT, datatype="FP32", shape=[-1, labels])],
    )


def _config_of(service: Service, model: Model) -> ModelConfig:
    image = TensorConfig(
        name=INPUT, data_type="TYPE_UINT8", format="FORMAT_NHWC", dims=[CANVAS, CANVAS, 3]
    )
    labels = len(model.manifest.labels)
    return ModelConfig(
        name=model.name,
        platform=_PLATFORM,
        backend="onnxruntime",
        max_batch_size=service.limits.max_files,
        version_policy={"specific": {"versions": _versions(service, model.name)}},
        input=[image],
        output=[TensorConfig(name=OUTPUT, data_type="TYPE_FP32", dims=[labels])],
    )


def _readiness(service: Service, response: Response, name: str, version: int | None) -> ModelReady:
    ready = not service.lifecycle.draining
    try:
        service.registry.resolve(name, version)
    except ModelNotReady:
        ready = False
    if not ready:
        response.status_code = 503
    return ModelReady(name=name, ready=ready)


def _versions(service: Service, name: str) -> list[int]:
    """Return the versions that are ready, in ascending order."""
    entries = service.registry.entries
    return sorted(entry.version or 0 for entry in entries if entry.name == name and entry.ready)


router.include_router(_models_router)
