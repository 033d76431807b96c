"""A graph's logits -> the pooled linear head that made them, where there is one.

    activation -> mean over its places -> flattened -> times a weight -> plus a bias -> logits

Exporters write the mean as GlobalAveragePool or ReduceMean, the flattening in five ways, and the
layer as Gemm, or as MatMul and Add. Anything else is no such head, and None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

_FLATTENING = frozenset({"Flatten", "Reshape", "Squeeze", "Identity", "Dropout"})
_MATRIX, _VECTOR = 2, 1
_Nodes = Mapping[str, onnx.NodeProto]
_Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class PooledHead:
    """The last layer, and what it reads the mean of."""

    activation: str
    """The tensor of the last feature map."""
    channels_last: bool
    """Whether that is [N, h, w, D] instead of [N, D, h, w]."""
    weight: NDArray[np.float32]
    """(K, D)."""
    bias: NDArray[np.float32]
    """(K,)."""


def find(model: onnx.ModelProto, logits: str) -> PooledHead | None:
    """The head of float32 `logits`, or None."""
    made_by: _Nodes = {name: node for node in model.graph.node for name in node.output}
    weights: _Weights = _constants(model)
    linear = _linear(logits, made_by, weights)
    if linear is None:
        return None
    read, weight, bias = linear
    node = made_by.get(read)
    while node is not None and node.op_type in _FLATTENING:
        node = made_by.get(node.input[0])
    if node is None:
        return None
    channels_last = _averages(node, weights)
    if channels_last is None:
        return None
    return PooledHead(node.input[0], channels_last, weight, bias)


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Initializers, and what Constant nodes hold."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _linear(
    logits: str, made_by: _Nodes, weights: _Weights
) -> tuple[str, NDArray[np.float32], NDArray[np.float32]] | None:
    """What the last layer reads, its weight (K, D) and its bias (K,)."""
    node = made_by.get(logits)
    while node is not None and node.op_type == "Identity":
        node = made_by.get(node.input[0])
    if node is None:
        return None
    if node.op_type == "Gemm":
        return _of_gemm(node, weights)
    bias = None
    if node.op_type == "Add":
        first, second = node.input
        bias, inner = (first, second) if first in weights else (second, first)
        node = made_by.get(inner)
        if bias not in weights or node is None:
            return None
    if node.op_type != "MatMul" or node.input[1] not in weights:
        return None
    weight = weights[node.input[1]]
    if weight.ndim != _MATRIX:
        return None
    return _checked(node.input[0], weight.T, None if bias is None else weights[bias])


def _of_gemm(
    node: onnx.NodeProto, weights: _Weights
) -> tuple[str, NDArray[np.float32], NDArray[np.float32]] | None:
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    bias = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004
    plain = given.get("transA", 0) == 0 and given.get("alpha", 1) == given.get("beta", 1) == 1
    if not plain or node.input[1] not in weights or (bias and bias not in weights):
        return None
    weight = weights[node.input[1]]
    shaped = weight if given.get("transB", 0) else weight.T
    return _checked(node.input[0], shaped, weights[bias] if bias else None)


def _checked(
    read: str, weight: NDArray[Any], bias: NDArray[Any] | None
) -> tuple[str, NDArray[np.float32], NDArray[np.float32]] | None:
    classes = len(weight)
    vector = np.zeros(classes, np.float32) if bias is None else bias.reshape(-1)
    if vector.size == 1:
        vector = np.full(classes, vector[0])
    if weight.dtype != np.float32 or vector.shape != (classes,):
        return None
    return read, np.ascontiguousarray(weight), np.ascontiguousarray(vector, np.float32)


def _averages(node: onnx.NodeProto, weights: _Weights) -> bool | None:
    """Whether a mean over all places has its channels last; None where it is no such mean."""
    if node.op_type == "GlobalAveragePool":
        return False
    if node.op_type != "ReduceMean":
        return None
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axes: Sequence[int] = given.get("axes", ())
    if len(node.input) > 1:
        axes = weights.get(node.input[1], np.array([], int)).tolist()
    places = {axis % 4 for axis in axes}
    return {frozenset({2, 3}): False, frozenset({1, 2}): True}.get(frozenset(places))
