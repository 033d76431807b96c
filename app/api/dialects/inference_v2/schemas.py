"""The protocol's objects, as OpenAPI shows them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Live(BaseModel):
    """Whether the process is alive."""

    live: bool


class Ready(BaseModel):
    """Whether requests should be sent here."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """The server, and what it speaks beside the protocol itself."""

    name: str
    version: str
    extensions: list[str]


class ModelNames(BaseModel):
    """The models that answer."""

    models: list[str]


class TensorMetadata(BaseModel):
    """What a tensor is like; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model."""

    name: str
    versions: Annotated[list[str], Field(description="Those that answer.")]
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
    """A model as Triton's clients ask for it."""

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
    version: Annotated[str, Field(description="Empty where bundle.json can't be read.")]
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class OutputTensor(BaseModel):
    """An output."""

    name: str
    datatype: Annotated[str, Field(description="FP32, or BYTES where classes were asked for.")]
    shape: list[int]
    data: Annotated[
        list[float] | list[str] | None,
        Field(description="Row by row; absent where it follows the JSON."),
    ] = None
    parameters: Annotated[
        dict[str, int] | None,
        Field(description="binary_data_size: bytes that follow the JSON."),
    ] = None


class InferenceAnswer(BaseModel):
    """What the images show."""

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
    id: Annotated[str | None, Field(description="The request's; absent where it had none.")] = None
    outputs: list[OutputTensor]


_PARAMETERS = {"type": "object", "additionalProperties": True}
INFERENCE: dict[str, Any] = {
    "type": "object",
    "title": "Inference",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "Comes back in the answer."},
        "parameters": {
            **_PARAMETERS,
            "description": "`binary_data_output: true` asks for binary output; others are ignored.",
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
                        "description": "`binary_data_size`: bytes that follow the JSON.",
                    },
                    "data": {
                        "type": "array",
                        "description": "Base64 strings for BYTES; numbers from 0 to 255 for "
                        "UINT8, nested or flat. Absent where binary data follow.",
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
                        "description": "`binary_data: true` asks for binary output; "
                        "`classification: k` for the k most probable labels.",
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
"""A request as JSON; written by hand, since no tensor is validated by pydantic."""
