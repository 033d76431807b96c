"""TensorFlow Serving's REST API below /v1/models.

    metadata  GET  /v1/models/{model}[/versions/{version}][/metadata]
    predict   POST /v1/models/{model}[/versions/{version}]:predict, :classify

A request's data flow: body -> `bodies` (`pixel_lists`: images as lists of numbers) -> the
classifier -> JSON. :regress and version labels are not supported: no model here is a regression,
and versions are numbers.
"""

from fastapi import APIRouter, Depends

from app.api.auth import KEY_ERRORS, require_key
from app.api.dialects.openapi import error_docs
from app.api.dialects.tensorflow.metadata import router as _metadata
from app.api.dialects.tensorflow.predict import router as _predict
from app.api.error_formats import message_only

router = APIRouter(
    prefix="/v1/models",
    tags=["tensorflow serving"],
    dependencies=[Depends(require_key)],
    responses=error_docs(message_only, *KEY_ERRORS),
)
for _part in (_metadata, _predict):
    router.include_router(_part)
