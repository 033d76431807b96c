"""The protocol's objects, as OpenAPI shows them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Live(BaseModel):
    """The liveness of the process."""

    live: bool


class Ready(BaseModel):
    """The readiness of the service for requests."""

    ready: bool


class ModelReady(BaseModel):
    """The readiness of a model."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """The server, and the extensions of the protocol that it supports."""

    name: str
    version: str
    extensions: list[str]


class ModelNames(BaseModel):
    """The names of the models that are ready."""

    models: list[str]


class TensorMetadata(BaseModel):
    """A tensor's name, datatype and shape; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The metadata of a model: its versions, inputs and outputs."""

    name: str
    versions: Annotated[list[str], Field(description="The versions that are ready.")]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(BaseModel):
    """A tensor, without the dimension of the batch."""

    name: str
    data_type: str
    format: str = "FORMAT_NONE"
    dims: list[int]


class ModelConfig(BaseModel):
    """A model's configuration, as Triton's clients read it."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    version_policy: dict[str, Any]
    input: list[TensorConfig]
    output: list[TensorConfig]


class IndexEntry(BaseModel):
    """One model in one version."""

    name: str
    version: Annotated[str, Field(description="The version; empty if bundle.json can't be read.")]
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class OutputTensor(BaseModel):
    """An output tensor: its datatype, shape and values."""

    name: str
    datatype: Annotated[str, Field(description="FP32, or BYTES if classes were requested.")]
    shape: list[int]
    data: Annotated[
        list[float] | list[str] | None,
        Field(description="The values, row by row; absent if they follow the JSON."),
    ] = None
    parameters: Annotated[
        dict[str, int] | None,
        Field(description="binary_data_size: number of bytes that follow the JSON."),
    ] = None


class InferenceAnswer(BaseModel):
    """The response to an inference."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_name": "imagenet",
                    "model_version": "1",
                    "id": "42",
                    "outputs": [
                        {
                            "name": "probabilities",
                            "datatype": "BYTES",
                            "shape": [1, 2],
                            "data": ["0.661382:285:Egyptian cat", "0.226730:282:tiger cat"],
                        }
                    ],
                }
            ]
        }
    )

    model_name: str
    model_version: str
    id: Annotated[str | None, Field(description="The request's id; absent if it had none.")] = None
    outputs: list[OutputTensor]


_PARAMETERS = {"type": "object", "additionalProperties": True}
INFERENCE: dict[str, Any] = {
    "type": "object",
    "title": "Inference",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "Repeated in the response."},
        "parameters": {
            **_PARAMETERS,
            "description": "`binary_data_output: true` requests binary output. `crop`: part of the "
            "only image, as in the query; an array for several. Others are ignored.",
        },
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "datatype", "shape"],
                "properties": {
                    "name": {"const": "image"},
                    "datatype": {"enum": ["BYTES", "UINT8"]},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                    "parameters": {
                        **_PARAMETERS,
                        "description": "`binary_data_size`: number of bytes that follow the JSON.",
                    },
                    "data": {
                        "type": "array",
                        "description": "Base64 strings for BYTES; numbers from 0 to 255 for "
                        "UINT8, nested or flat. Absent if binary data follow.",
                    },
                },
            },
        },
        "outputs": {
            "type": "array",
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"const": "probabilities"},
                    "parameters": {
                        **_PARAMETERS,
                        "description": "`binary_data: true` requests binary output; "
                        "`classification: k` the k most probable labels.",
                    },
                },
            },
        },
    },
    "examples": [
        {
            "id": "42",
            "inputs": [
                {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["/9j/4AAQSkZJRg…"]}
            ],
            "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
        }
    ],
}
"""The schema of a request. It is written by hand, since pydantic validates no tensors."""
