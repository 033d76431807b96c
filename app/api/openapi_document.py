"""The OpenAPI document, with the schemas that FastAPI does not see."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.schemas.captures import Feedback, LabelChange, LabelChanges
from app.api.schemas.classification import Batch, MultiLabelResult, Result
from app.api.schemas.datasets import DatasetChange
from app.api.schemas.inspection import (
    ActivationsCrops,
    Embedded,
    EmbeddedBatch,
    ExplainedCrops,
)
from app.api.schemas.problem_details import Problem
from app.api.schemas.similar import Similar, SimilarBatch
from app.jobs.job import JobRequest


def openapi_document(app: FastAPI) -> dict[str, object]:
    """Return the OpenAPI document, with the schemas of responses that FastAPI does not see."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=app.servers or None,
        )
        schemas = document["components"]["schemas"]
        for model in (
            *(Problem, Result, MultiLabelResult, Batch),
            *(Similar, SimilarBatch),
            *(Embedded, EmbeddedBatch, ExplainedCrops, ActivationsCrops),
            *(Feedback, LabelChange, LabelChanges, DatasetChange, JobRequest),
        ):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        _drop_validation_errors(document)
        app.openapi_schema = document
    return app.openapi_schema


def _drop_validation_errors(document: dict[str, Any]) -> None:
    """Remove FastAPI's own 422 responses: an invalid parameter is a problem with 400 here."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            response = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(response):
                del operation["responses"]["422"]
