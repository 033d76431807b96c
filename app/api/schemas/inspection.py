"""The responses of /api/v1/embed, /api/v1/explain and /api/v1/activations."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.classification import Failure, Image

EXAMPLE_IMAGE = {"format": "jpeg", "width": 451, "height": 300, "crop": None}
EXAMPLE_EMBEDDED: dict[str, Any] = {
    "model": "imagenet",
    "version": 1,
    "normalized": True,
    "embedding": [0.018311, 0.0, 0.00407, 0.040523],
    "image": EXAMPLE_IMAGE,
}
EXAMPLE_EXPLAINED: dict[str, Any] = {
    "model": "imagenet",
    "version": 1,
    "label": "Egyptian cat",
    "index": 285,
    "probability": 0.661382,
    "method": "class_activation_map",
    "map": [[2.1, 6.3], [4.8, 19.3]],
    "bias": -0.02,
    "temperature": 0.539086,
    "box": {"left": 75.5, "top": 0.0, "width": 300.0, "height": 300.0},
    "image": EXAMPLE_IMAGE,
}
EXAMPLE_ACTIVATIONS: dict[str, Any] = {
    "model": "imagenet",
    "version": 1,
    "layer": "stem",
    "op": "Clip",
    "shape": [32, 120, 120],
    "channels": [
        {"channel": 0, "min": 0.0, "max": 6.0, "mean": 0.41, "active": 0.37, "strongest": [58, 31]}
    ],
    "scale": {"low": 0.0, "high": 6.0},
    "grid": {"columns": 6, "rows": 6, "tile_width": 120, "tile_height": 120, "gap": 2},
    "png": "iVBORw0KGgo…",
    "image": EXAMPLE_IMAGE,
    "values": None,
}


class Embedded(BaseModel):
    """The embedding of an image, which the model's last layer reads.

    Similar photos have similar embeddings.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_EMBEDDED]})

    model: str
    version: int
    normalized: Annotated[
        bool, Field(description="Whether the embedding was scaled to the length 1.")
    ]
    embedding: list[float]
    image: Image


class EmbeddedBatch(BaseModel):
    """The embeddings of several images, in the order of the request."""

    results: list[Embedded | Failure]


class Box(BaseModel):
    """A part of the photo as displayed, in pixels."""

    left: float
    top: float
    width: float
    height: float


class Explained(BaseModel):
    """A map of how each part of a photo contributes to a label."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_EXPLAINED]})

    model: str
    version: int
    label: str
    index: Annotated[int, Field(description="Position in the model's labels.")]
    probability: float
    method: Annotated[
        Literal["class_activation_map", "occlusion"],
        Field(
            description="`class_activation_map`: exact. Over all labels, softmax((mean of the map "
            "+ bias) / temperature) gives the probabilities; of a multi-label model, sigmoid does, "
            "label by label. `occlusion`: used if the model's head "
            "is not pooled and linear. A value is the decrease of the label's log-odds when that "
            "part of the photo is covered."
        ),
    ]
    map: Annotated[
        list[list[float]],
        Field(description="Rows of numbers. Positive values are evidence for the label."),
    ]
    bias: Annotated[float | None, Field(description="The label's bias. null for occlusion.")]
    temperature: Annotated[
        float | None, Field(description="Calibration temperature. null for occlusion.")
    ]
    box: Annotated[
        Box,
        Field(
            description="Part of the photo that the map covers. For a model with the fit `contain` "
            "it reaches beyond the photo."
        ),
    ]
    image: Image


class ExplainedCrops(BaseModel):
    """The explanations of several crops of one photo, in the order of the request."""

    results: list[Explained]


class Channel(BaseModel):
    """The statistics of one activation map."""

    channel: int
    min: float
    max: float
    mean: float
    active: Annotated[float, Field(description="Share of values above 0.")]
    strongest: Annotated[
        list[int] | None,
        Field(description="Row and column of the largest value. null for a vector."),
    ]


class Scale(BaseModel):
    """The scale that all maps in a picture share."""

    low: Annotated[float, Field(description="Value drawn darkest. If it is negative, 0 is grey.")]
    high: Annotated[float, Field(description="Value drawn brightest, like all larger values.")]


class GridLayout(BaseModel):
    """The position of the tiles in a picture, in pixels."""

    columns: int
    rows: int
    tile_width: int
    tile_height: int
    gap: Annotated[int, Field(description="Gap between tiles and around all of them.")]


class Activations(BaseModel):
    """The activation maps of a layer for one photo."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ACTIVATIONS]})

    model: str
    version: int
    layer: Annotated[str, Field(description="Layer name; `kernel` for a filter of your own.")]
    op: Annotated[str, Field(description="ONNX operator that computes the layer.")]
    shape: Annotated[
        list[int], Field(description="Channels, height and width; for a vector, its length.")
    ]
    channels: Annotated[
        list[Channel], Field(description="Statistics of each map, in the order of the picture.")
    ]
    scale: Scale
    grid: GridLayout
    png: Annotated[str, Field(description="Picture of the maps, a PNG file in base64.")]
    image: Image
    values: Annotated[
        list[Any] | None,
        Field(description="Values: always for a vector; for maps only with `values=true`."),
    ]


class ActivationsCrops(BaseModel):
    """The activation maps for several crops of one photo, in the order of the request."""

    results: list[Activations]
