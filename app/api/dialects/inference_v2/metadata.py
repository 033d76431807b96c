"""GET /v2 and below /v2/models: what is served here, and what its tensors are like.

The input is told as UINT8 [-1, 480, 480, 3], although BYTES and resized arrays are taken too: a
tensor has one datatype here, and this is the one from which clients that know nothing of images
(perf_analyzer, Triton's image_client) make a request that can be answered.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from app import __version__, errors
from app.api.auth import require_key
from app.api.dialects.documented import error_docs
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
from app.api.error_shapes import error_alone
from app.api.service import Service, ServiceDep
from app.errors import ModelNotReady
from app.runtime.loaded_model import Model
from app.vision import CANVAS

Version = Annotated[int, Path(ge=1, description="A version of the model.")]

_EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository"]
_PLATFORM = "onnxruntime_onnx"
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "It does not, or the service is draining.", "model": ModelReady}
}

router = APIRouter(
    dependencies=[Depends(require_key)], responses=error_docs(error_alone, errors.Unauthenticated)
)
_of_models = APIRouter(
    prefix="/models/{name}",
    responses=error_docs(error_alone, errors.UnknownModel, errors.ModelNotReady),
)


@router.get("", summary="v2: what server is this?")
async def describe_server() -> ServerMetadata:
    """Name, version, and the extensions that are spoken."""
    return ServerMetadata(name="hubel", version=__version__, extensions=_EXTENSIONS)


@router.get("/models", summary="v2: which models answer?")
async def list_names(service: ServiceDep) -> ModelNames:
    """Their names; the repository index tells of the others too."""
    ready = [entry.name for entry in service.registry.entries if entry.ready]
    return ModelNames(models=list(dict.fromkeys(ready)))


@_of_models.get("", summary="v2: what does this model take and give?")
async def describe_model(name: str, service: ServiceDep) -> ModelMetadata:
    """The model's tensors and its versions.

    The input takes more than it can tell: BYTES `[n]` or `[n, 1]` (encoded images), UINT8
    `[n, 480, 480, 3]` (canvases, RGB) and UINT8 `[n, S, S, 3]` (what the model reads, S being
    `input.size` of `/api/v1/models/{name}`).
    """
    return _described(service, service.registry.resolve(name))


@_of_models.get("/versions/{version}", summary="v2: what does this version take and give?")
async def describe_version(name: str, version: Version, service: ServiceDep) -> ModelMetadata:
    """As without a version."""
    return _described(service, service.registry.resolve(name, version))


@_of_models.get("/config", summary="v2: this model's Triton configuration")
async def configure_model(name: str, service: ServiceDep) -> ModelConfig:
    """The parts of Triton's model configuration that clients read."""
    return _configured(service, service.registry.resolve(name))


@_of_models.get("/versions/{version}/config", summary="v2: this version's Triton configuration")
async def configure_version(name: str, version: Version, service: ServiceDep) -> ModelConfig:
    """As without a version."""
    return _configured(service, service.registry.resolve(name, version))


@_of_models.get("/ready", summary="v2: does this model answer?", responses=_NOT_READY)
async def model_ready(name: str, service: ServiceDep, response: Response) -> ModelReady:
    """200 when it does; 503 when it doesn't, and after SIGTERM."""
    return _readiness(service, response, name, None)


@_of_models.get(
    "/versions/{version}/ready", summary="v2: does this version answer?", responses=_NOT_READY
)
async def version_ready(
    name: str, version: Version, service: ServiceDep, response: Response
) -> ModelReady:
    """As without a version."""
    return _readiness(service, response, name, version)


def _described(service: Service, model: Model) -> ModelMetadata:
    labels = len(model.manifest.labels)
    return ModelMetadata(
        name=model.name,
        versions=[str(number) for number in _versions(service, model.name)],
        platform=_PLATFORM,
        inputs=[TensorMetadata(name=INPUT, datatype="UINT8", shape=[-1, CANVAS, CANVAS, 3])],
        outputs=[TensorMetadata(name=OUTPUT, datatype="FP32", shape=[-1, labels])],
    )


def _configured(service: Service, model: Model) -> ModelConfig:
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
    """Those that answer, in order."""
    entries = service.registry.entries
    return sorted(entry.version or 0 for entry in entries if entry.name == name and entry.ready)


router.include_router(_of_models)
