"""What is kept of a graph once it has been read: its layers, its first filters, its head.

A layer is what a node makes of a photo: a feature map [N, C, h, w] or a vector [N, D]. It is called
as its tensor is, in fp32 and int8 alike.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.runtime.inspection.filters import Filters, first_convolution, first_filters
from app.runtime.inspection.onnx_graph import Graph, attribute
from app.runtime.inspection.onnx_head import PooledHead, pooled_head

if TYPE_CHECKING:
    import onnx

NONLINEAR = frozenset(
    {"Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "HardSwish", "Gelu", "Mish", "Tanh"}
)
_PASSED_OVER = frozenset({"QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Dropout"})
_MAP_RANK, _VECTOR_RANK = 3, 1
"""Of a shape without its first dimension."""


@dataclass(frozen=True)
class Layer:
    """One tensor on the way from the image to the probabilities."""

    name: str
    op: str
    """What makes it, in ONNX's words: Conv, Clip, MaxPool, Gemm…"""
    shape: tuple[int, ...]
    """(C, h, w) of a feature map, (D,) of a vector."""
    tensor: str
    """The graph's name for its value; in int8 the dequantised one."""

    @property
    def is_map(self) -> bool:
        """Whether it has a height and a width."""
        return len(self.shape) == _MAP_RANK


@dataclass(frozen=True, eq=False)
class ModelStructure:
    """What is known of a model's inside."""

    path: Path
    layers: tuple[Layer, ...]
    """In the order in which they are computed."""
    first: Layer | None
    """The first convolution after its nonlinearity; None where there is no convolution."""
    filters: Filters | None
    """None where the first convolution does not read the image's three channels."""
    head: PooledHead | None
    """None where the head isn't pooled and linear."""


def read_structure(path: Path) -> ModelStructure:
    """Read the ONNX file at `path`."""
    graph = Graph(path)
    layers = _layers(graph)
    return ModelStructure(
        path, layers, _first(graph, layers), first_filters(graph), pooled_head(graph)
    )


def _layers(graph: Graph) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    channels_last = {value.name for value in graph.model.graph.input}
    for node in graph.nodes:
        if not graph.depends_on_image(node.output[0]):
            continue
        name, tensor = graph.value_of(node.output[0])
        shape = graph.shape(node.output[0]) or graph.shape(tensor)
        if _is_channels_last(node, channels_last):
            channels_last.add(node.output[0])
            if shape is None or len(shape) == _MAP_RANK:
                continue
        if node.op_type in _PASSED_OVER:
            continue
        if shape is not None and len(shape) in (_MAP_RANK, _VECTOR_RANK):
            layers.append(Layer(name, node.op_type, tuple(shape), tensor))
    return tuple(layers)


def _is_channels_last(node: "onnx.NodeProto", channels_last: set[str]) -> bool:
    """Whether a node's output still lies as the image does, (N, h, w, C)."""
    if node.op_type == "Conv":
        return False
    if node.op_type == "Transpose":
        return list(attribute(node, "perm", [])) == [0, 2, 3, 1]
    return any(name in channels_last for name in node.input)


def _first(graph: Graph, layers: tuple[Layer, ...]) -> Layer | None:
    node = first_convolution(graph)
    while node is not None:
        name, _ = graph.value_of(node.output[0])
        after = graph.consumers(node.output[0])
        behind = _nonlinearity(after)
        if behind is None:
            return next((layer for layer in layers if layer.name == name), None)
        node = behind
    return None


def _nonlinearity(after: list["onnx.NodeProto"]) -> "onnx.NodeProto | None":
    """The normalisation or nonlinearity that follows, if one does; x * sigmoid(x) is one, too."""
    if len(after) == 1 and after[0].op_type in NONLINEAR | {"BatchNormalization"}:
        return after[0]
    kinds = {node.op_type: node for node in after}
    if kinds.keys() == {"Sigmoid", "Mul"} and kinds["Sigmoid"].output[0] in kinds["Mul"].input:
        return kinds["Mul"]
    return None
