"""The response of /api/v1/uploads."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.uploads import UnpackedBundle, Upload, Value

Ask = Literal["labels", "size", "layout", "normalisation"]
_MAX_CHANNELS = 4
_CHANNELS = (1, 3, 4)
_IMAGES = 4
"""Dimensions of an input of images."""
_ROW = 2
"""Dimensions of an output with a number for each label: photos and labels."""


class GraphValue(BaseModel):
    """An input or an output of a graph."""

    name: str
    type: str
    shape: Annotated[
        list[int | str | None],
        Field(description="Lengths; a name where a length may vary, null where it is unknown."),
    ]


class UploadResult(BaseModel):
    """A model that was sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "onnx",
                    "id": "0f8fad5bd9cb469fa16570867728950e",
                    "bytes": 13967321,
                    "inputs": [{"name": "x", "type": "float32", "shape": ["N", 3, 224, 224]}],
                    "outputs": [{"name": "y", "type": "float32", "shape": ["N", 2]}],
                    "labels": 2,
                    "asks": ["labels", "normalisation"],
                    "model": None,
                    "version": None,
                    "skipped": [],
                }
            ]
        }
    )

    kind: Literal["onnx", "bundle"]
    id: Annotated[
        str | None, Field(description="Of an ONNX file: `upload` of a job that imports it.")
    ] = None
    bytes: int
    inputs: list[GraphValue] = []
    outputs: list[GraphValue] = []
    labels: Annotated[
        int | None, Field(description="Number of labels; null: the graph doesn't say.")
    ] = None
    asks: Annotated[
        list[Ask],
        Field(
            description="What an import needs to be told: `normalisation` is mean, std and the "
            "like, or a preset."
        ),
    ] = []
    model: Annotated[str | None, Field(description="Of a bundle: its name.")] = None
    version: int | None = None
    skipped: Annotated[
        list[str], Field(description="Files of the zip that aren't used, with the reason.")
    ] = []


def onnx_response(upload: Upload) -> UploadResult:
    """Return the response for an ONNX file."""
    outline = upload.outline
    asks: list[Ask] = ["labels"]
    if not any(_has_size(value) for value in outline.inputs):
        asks.append("size")
    if not any(_has_channels(value) for value in outline.inputs):
        asks.append("layout")
    if any("float" in value.type for value in outline.inputs):
        asks.append("normalisation")
    return UploadResult(
        kind="onnx",
        id=upload.id,
        bytes=upload.bytes,
        inputs=_values(outline.inputs),
        outputs=_values(outline.outputs),
        labels=_labels(outline.outputs),
        asks=asks,
    )


def bundle_response(bundle: UnpackedBundle) -> UploadResult:
    """Return the response for a bundle."""
    return UploadResult(
        kind="bundle",
        bytes=bundle.bytes,
        labels=len(bundle.manifest.labels),
        model=bundle.manifest.name,
        version=bundle.manifest.version,
        skipped=[f"{name}: {reason}" for name, reason in bundle.skipped],
    )


def _values(values: Sequence[Value]) -> list[GraphValue]:
    return [GraphValue(name=v.name, type=v.type, shape=list(v.shape)) for v in values]


def _has_size(value: Value) -> bool:
    """Return whether height and width of an input are known: two lengths over the channels'."""
    return sum(isinstance(length, int) and length > _MAX_CHANNELS for length in value.shape) >= _ROW


def _has_channels(value: Value) -> bool:
    """Return whether the shape says which dimension has the colours."""
    return len(value.shape) == _IMAGES and (value.shape[1] in _CHANNELS) != (
        value.shape[3] in _CHANNELS
    )


def _labels(outputs: Sequence[Value]) -> int | None:
    for value in outputs:
        if len(value.shape) == _ROW and isinstance(value.shape[1], int):
            return value.shape[1]
    return None
