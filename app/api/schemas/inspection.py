"""The answers about a model's inside, as OpenAPI shows them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.classification import Failure, Image

EXAMPLE_IMAGE = {"format": "jpeg", "width": 451, "height": 300}
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
    """The vector that the model's last layer reads: photos that are alike have vectors alike."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_EMBEDDED]})

    model: str
    version: int
    normalized: Annotated[bool, Field(description="Whether its length was brought to 1.")]
    embedding: list[float]
    image: Image


class EmbeddedBatch(BaseModel):
    """The embeddings of several images, in the order in which they were sent."""

    results: list[Embedded | Failure]


class Box(BaseModel):
    """A part of the photo as displayed, in pixels."""

    left: float
    top: float
    width: float
    height: float


class Explained(BaseModel):
    """Where a label comes from."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_EXPLAINED]})

    model: str
    version: int
    label: str
    index: Annotated[int, Field(description="Position in the model's labels.")]
    probability: float
    method: Annotated[
        Literal["class_activation_map", "occlusion"],
        Field(
            description="`class_activation_map`: exact; over all labels, softmax((mean of the map "
            "+ bias) / temperature) are the probabilities. `occlusion`, where the model's head is "
            "not pooled and linear: the fall of the label's log-odds when that part is covered."
        ),
    ]
    map: Annotated[
        list[list[float]],
        Field(description="Rows of numbers; what is positive speaks for the label."),
    ]
    bias: Annotated[float | None, Field(description="null for occlusion.")]
    temperature: Annotated[float | None, Field(description="null for occlusion.")]
    box: Annotated[Box, Field(description="What the map covers.")]
    image: Image


class Channel(BaseModel):
    """One map of a layer, in numbers."""

    channel: int
    min: float
    max: float
    mean: float
    active: Annotated[float, Field(description="Share of its values above 0.")]
    strongest: Annotated[
        list[int] | None, Field(description="Row and column of the largest; null in a vector.")
    ]


class Scale(BaseModel):
    """The one scale of all maps in a picture."""

    low: Annotated[float, Field(description="Drawn darkest; where it is negative, 0 is grey.")]
    high: Annotated[float, Field(description="Drawn brightest, and so is what is above.")]


class GridLayout(BaseModel):
    """Where each tile lies in a picture, in pixels."""

    columns: int
    rows: int
    tile_width: int
    tile_height: int
    gap: Annotated[int, Field(description="Between tiles, and around all of them.")]


class Activations(BaseModel):
    """What a layer made of a photo."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ACTIVATIONS]})

    model: str
    version: int
    layer: Annotated[str, Field(description="`kernel` for a filter of your own.")]
    op: Annotated[str, Field(description="What makes it, in ONNX's words.")]
    shape: Annotated[
        list[int], Field(description="Channels, height, width; of a vector, its length.")
    ]
    channels: Annotated[list[Channel], Field(description="In the picture's order.")]
    scale: Scale
    grid: GridLayout
    png: Annotated[str, Field(description="The picture, in base64.")]
    image: Image
    values: Annotated[
        list[Any] | None,
        Field(description="The numbers themselves, of vectors always; of maps with `values=true`."),
    ]


class LayerInfo(BaseModel):
    """One layer of a model."""

    name: str
    op: Annotated[str, Field(description="What makes it, in ONNX's words.")]
    shape: Annotated[
        list[int], Field(description="Channels, height, width; of a vector, its length.")
    ]


class FiltersInfo(BaseModel):
    """What filters.png shows."""

    layer: Annotated[str, Field(description="The convolution that they belong to.")]
    shape: Annotated[list[int], Field(description="Filters, colours, rows, columns.")]
    largest: Annotated[
        float,
        Field(
            description="The weight that is drawn brightest, its opposite darkest, 0 grey; "
            "a cube root lies between, the same for all filters."
        ),
    ]
    grid: GridLayout
