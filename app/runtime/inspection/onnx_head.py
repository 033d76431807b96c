"""The pooled linear head, found in the graph: what makes class activation maps exact.

    activation [N, D, h, w] -> mean over h and w -> linear -> divided by the temperature -> softmax

A mean and a linear map can change places, so a label's logit is the mean of a map of its own:
weight[k] . activation, over all positions (Zhou et al. 2016, "Learning Deep Features for
Discriminative Localization").
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.runtime.inspection.onnx_graph import Graph, attribute

if TYPE_CHECKING:
    import onnx

_FLATTENING = ("Flatten", "Reshape", "Squeeze", "Identity", "Dropout")
_MATRIX = 2


@dataclass(frozen=True, eq=False)
class PooledHead:
    """How the last feature map becomes probabilities."""

    activation: str
    """The tensor [N, D, h, w] that is pooled."""
    weight: NDArray[np.float32]
    """(K, D)."""
    bias: NDArray[np.float32]
    """(K,)."""
    temperature: float


def pooled_head(graph: Graph) -> PooledHead | None:
    """The head of `graph`, if it is pooled and linear; found from the probabilities upwards."""
    node = graph.producer("probabilities")
    if node is None or node.op_type != "Softmax":
        return None
    tensor, temperature = _scaled(graph, node.input[0])
    linear = _linear(graph, tensor)
    if linear is None:
        return None
    vector, weight, bias = linear
    pooled = _unflattened(graph, vector)
    if pooled is None or not _is_spatial_mean(graph, pooled):
        return None
    _, activation = graph.value_of(pooled.input[0])
    shape = graph.shape(pooled.input[0])
    if shape is None or len(shape) != 3 or shape[0] != weight.shape[1]:  # noqa: PLR2004
        return None
    return PooledHead(activation, weight.astype(np.float32), bias.astype(np.float32), temperature)


def _scaled(graph: Graph, tensor: str) -> tuple[str, float]:
    """What is divided by a constant, and the constant; 1 where nothing is."""
    node = graph.producer(tensor)
    if node is None or node.op_type not in ("Div", "Mul"):
        return tensor, 1.0
    factor = graph.constant(node.input[1])
    if factor is None or factor.size != 1:
        return tensor, 1.0
    value = float(factor.reshape(-1)[0])
    return node.input[0], value if node.op_type == "Div" else 1 / value


def _linear(graph: Graph, tensor: str) -> tuple[str, NDArray[Any], NDArray[Any]] | None:
    """A vector, weight (K, D) and bias (K,) such that `tensor` is weight . vector + bias."""
    node = graph.producer(tensor)
    bias: NDArray[Any] | None = None
    if node is not None and node.op_type == "Add":
        bias = graph.constant(node.input[1])
        node = graph.producer(node.input[0]) if bias is not None else None
    if node is None or node.op_type not in ("Gemm", "MatMul"):
        return None
    weight = graph.constant(node.input[1])
    if weight is None or weight.ndim != _MATRIX:
        return None
    if node.op_type == "Gemm":
        if attribute(node, "alpha", 1.0) != 1 or attribute(node, "beta", 1.0) != 1:
            return None
        if attribute(node, "transA", 0):
            return None
        if len(node.input) > _MATRIX:
            bias = graph.constant(node.input[2])
    if not (node.op_type == "Gemm" and attribute(node, "transB", 0)):
        weight = weight.T
    if bias is None:
        bias = np.zeros(len(weight), np.float32)
    return (node.input[0], weight, bias.reshape(-1)) if bias.size == len(weight) else None


def _unflattened(graph: Graph, tensor: str) -> "onnx.NodeProto | None":
    """The node behind what only changes a shape."""
    node = graph.producer(tensor)
    while node is not None and node.op_type in _FLATTENING:
        node = graph.producer(node.input[0])
    return node


def _is_spatial_mean(graph: Graph, node: "onnx.NodeProto") -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    if node.op_type != "ReduceMean":
        return False
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1:
        given = graph.constant(node.input[1])
        axes = None if given is None else given.tolist()
    return axes is not None and sorted(axis % 4 for axis in axes) == [2, 3]
