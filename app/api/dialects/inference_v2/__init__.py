"""Open Inference Protocol v2, as KServe, Triton, MLServer and OpenVINO Model Server use it.

    health      GET  /v2/health/live, /ready                   no key
    metadata    GET  /v2, /v2/models, /v2/models/{name}[/versions/{version}][/ready|/config]
    infer       POST /v2/models/{name}[/versions/{version}]/infer
    repository  POST /v2/repository/index, /v2/repository/models/{name}/load, /unload

An inference's data flow: body -> `request` (`document`: its JSON; `tensors`: its images)
-> the classifier -> `response`. The binary tensor, raw binary and classification extensions are
supported. Compressed bodies and shared memory are not.
"""

from fastapi import APIRouter

from app.api.dialects.inference_v2.health import router as _health
from app.api.dialects.inference_v2.infer import router as _infer
from app.api.dialects.inference_v2.metadata import router as _metadata
from app.api.dialects.inference_v2.repository import router as _repository

router = APIRouter(tags=["open inference protocol v2"])
for _part in (_health, _metadata, _infer, _repository):
    router.include_router(_part, prefix="/v2")
