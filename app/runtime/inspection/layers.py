"""The structure of a model, read from its graph: its layers, its first filters and its head.

A layer is a tensor that depends on the photo: a feature map [N, C, h, w] or a vector [N, D]. It has
the name of its tensor, in fp32 and int8 alike.
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
_SKIPPED = frozenset({"QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Dropout"})
_MAP_RANK, _VECTOR_RANK = 3, 1
"""Ranks of a feature map and of a vector, without the batch dimension."""


@dataclass(frozen=True)
class Layer:
    """A tensor that is computed between the image and the probabilities."""

    name: str
    op: str
    """The ONNX operator that computes it: Conv, Clip, MaxPool, Gemm…"""
    shape: tuple[int, ...]
    """(C, h, w) of a feature map, (D,) of a vector."""
    tensor: str
    """The name of its value in the graph; in int8 the dequantised tensor."""

    @property
    def is_map(self) -> bool:
        """True if the layer has a height and a width."""
        return len(self.shape) == _MAP_RANK


@dataclass(frozen=True, eq=False)
class ModelStructure:
    """The parts of a model that inspection shows and explains with."""

    path: Path
    layers: tuple[Layer, ...]
    """The layers, in order of computation."""
    default_layer: Layer | None
    """The first convolution after its nonlinearity; None where there is no convolution."""
    filters: Filters | None
    """None where the first convolution does not read the image's three channels."""
    head: PooledHead | None
    """None where the head isn't pooled and linear, or pools the pixels themselves."""


def read_structure(path: Path) -> ModelStructure:
    """Read the structure of the ONNX file at `path`."""
    graph = Graph.load(path)
    layers = _layers(graph)
    default_layer = _default_layer(graph, layers)
    has_convolution = first_convolution(graph) is not None
    head = pooled_head(graph) if has_convolution else None
    return ModelStructure(path, layers, default_layer, first_filters(graph), head)


def _layers(graph: Graph) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    channels_last = {value.name for value in graph.model.graph.input}
    for node in graph.nodes:
        if not graph.depends_on_image(node.output[0]):
            continue
        name, tensor = graph.display_and_value_names(node.output[0])
        shape = graph.shape_without_batch(node.output[0]) or graph.shape_without_batch(tensor)
        if _is_channels_last(node, channels_last):
            channels_last.add(node.output[0])
            if shape is None or len(shape) == _MAP_RANK:
                continue
        if node.op_type in _SKIPPED:
            continue
        if shape is not None and len(shape) in (_MAP_RANK, _VECTOR_RANK):
            layers.append(Layer(name, node.op_type, tuple(shape), tensor))
    return tuple(layers)


def _is_channels_last(node: "onnx.NodeProto", channels_last: set[str]) -> bool:
    """Return whether a node's output is channels-last like the image, (N, h, w, C)."""
    if node.op_type == "Conv":
        return False
    if node.op_type == "Transpose":
        return list(attribute(node, "perm", [])) == [0, 2, 3, 1]
    return any(name in channels_last for name in node.input)


def _default_layer(graph: Graph, layers: tuple[Layer, ...]) -> Layer | None:
    node = first_convolution(graph)
    while node is not None:
        name, _ = graph.display_and_value_names(node.output[0])
        following = _following_activation(graph.consumers(node.output[0]))
        if following is None:
            return next((layer for layer in layers if layer.name == name), None)
        node = following
    return None


def _following_activation(consumers: list["onnx.NodeProto"]) -> "onnx.NodeProto | None":
    """Return the normalisation, nonlinearity or x * sigmoid(x) that follows a layer."""
    if len(consumers) == 1 and consumers[0].op_type in NONLINEAR | {"BatchNormalization"}:
        return consumers[0]
    by_type = {node.op_type: node for node in consumers}
    if by_type.keys() == {"Sigmoid", "Mul"} and (
        by_type["Sigmoid"].output[0] in by_type["Mul"].input
    ):
        return by_type["Mul"]
    return None
