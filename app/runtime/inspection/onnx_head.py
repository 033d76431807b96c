"""The matcher of a pooled linear head in an ONNX graph.

    activation [N, D, h, w] -> mean over h and w -> linear -> divided by the temperature
        -> softmax, or in a multi-label model sigmoid

Serving needs the head for class activation maps, and `hubel import` rewrites it under the bundle's
names. The mean and the linear layer commute, so the logit of
label k is the mean over all positions of weight[k] . activation (Zhou et al. 2016, "Learning Deep
Features for Discriminative Localization").

Exporters write the mean as GlobalAveragePool or ReduceMean, the flattening as Flatten, Reshape,
Squeeze or not at all, and the linear layer as Gemm, or as MatMul and Add. Weights may be stored in
int8 with a scale.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.runtime.inspection.onnx_graph import QUANTIZATION, Graph, attribute

if TYPE_CHECKING:
    import onnx

_IDENTITIES = frozenset({"Identity", "Dropout"})
_FLATTENING = _IDENTITIES | {"Flatten", "Reshape", "Squeeze"}
_MATRIX_RANK = 2
_MAP_RANK = 4


@dataclass(frozen=True, eq=False)
class PooledHead:
    """The head that computes probabilities from the last feature map."""

    activation: str
    """The tensor that is pooled: [N, D, h, w], or [N, h, w, D] where `channels_last`."""
    channels_last: bool
    embedding: str
    """The tensor that the linear layer reads, [N, D]."""
    weight: NDArray[np.float32]
    """(K, D)."""
    bias: NDArray[np.float32]
    """(K,)."""
    temperature: float
    """The divisor of the logits; 1 where there is none."""
    is_exact: bool
    """False where the graph's head is int8, in part or whole: a float head differs from it.

    With int8 weights ONNX Runtime runs even a float Gemm at a lower precision, as MatMulNBits.
    """
    is_sigmoid: bool = False
    """True where each label has a probability of its own, by a sigmoid instead of a softmax."""


@dataclass(frozen=True, eq=False)
class _Linear:
    """A linear layer: weight . vector + bias."""

    vector: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    is_float32: bool
    """Whether the graph itself holds the weights in float32."""


def pooled_head(graph: Graph, logits: str | None = None) -> PooledHead | None:
    """Return the head of `graph`; None where it isn't pooled and linear.

    Args:
        graph: the graph.
        logits: the tensor that the softmax or sigmoid reads; None for the one that makes
            `probabilities`.
    """
    is_sigmoid = False
    if logits is None:
        last = _producer_skipping(graph, "probabilities", _IDENTITIES)
        if last is None or last.op_type not in ("Softmax", "Sigmoid"):
            return None
        logits, is_sigmoid = str(last.input[0]), last.op_type == "Sigmoid"
    unscaled, temperature = _before_temperature(graph, logits)
    linear = _linear(graph, unscaled)
    pool = _producer_skipping(graph, linear.vector, _FLATTENING) if linear else None
    if linear is None or pool is None:
        return None
    channels_last = _averages_channels_last(graph, pool)
    activation = str(pool.input[0])
    if channels_last is None or not _fits(graph, activation, channels_last, linear.weight.shape[1]):
        return None
    return PooledHead(
        activation=activation,
        channels_last=channels_last,
        embedding=linear.vector,
        weight=linear.weight,
        bias=linear.bias,
        temperature=temperature,
        is_exact=linear.is_float32 and not _is_quantized(graph, activation, logits),
        is_sigmoid=is_sigmoid,
    )


def linear_input(graph: Graph, logits: str) -> tuple[str, int] | None:
    """Return the tensor [N, D] that the last linear layer reads, and D; None where there is none.

    There is none either where the layer isn't float32: ONNX Runtime rounds a tensor in float16 only
    if it is an output, so that reading it would change the probabilities.

    Args:
        graph: the graph.
        logits: the tensor that the softmax reads.
    """
    unscaled, _ = _before_temperature(graph, logits)
    linear = _linear(graph, unscaled)
    if (
        linear is None
        or not linear.is_float32
        or len(graph.shape(linear.vector) or ()) != _MATRIX_RANK
    ):
        return None
    return linear.vector, linear.weight.shape[1]


def _producer_skipping(graph: Graph, tensor: str, ops: frozenset[str]) -> "onnx.NodeProto | None":
    """Return the node that computes `tensor`, skipping nodes of the types `ops`."""
    node = graph.producer(tensor)
    while node is not None and node.op_type in ops:
        node = graph.producer(node.input[0])
    return node


def _before_temperature(graph: Graph, tensor: str) -> tuple[str, float]:
    """Return the logits before a constant divides them, and that constant; 1 if there is none."""
    node = _producer_skipping(graph, tensor, _IDENTITIES)
    if node is None or node.op_type not in ("Div", "Mul"):
        return tensor, 1.0
    if node.op_type == "Mul":
        unscaled, factor = _varying_and_constant(graph, node)
    else:
        unscaled, factor = str(node.input[0]), graph.constant(node.input[1])
    if factor is None or factor.size != 1 or not factor.any():
        return tensor, 1.0
    value = float(factor.reshape(-1)[0])
    return unscaled, value if node.op_type == "Div" else 1 / value


def _linear(graph: Graph, tensor: str) -> _Linear | None:
    """Return the linear layer that computes `tensor`; its bias may be either operand of an Add."""
    node = _producer_skipping(graph, tensor, _IDENTITIES)
    biases: list[NDArray[Any] | None] = []
    if node is not None and node.op_type == "Add":
        product, bias = _varying_and_constant(graph, node)
        biases.append(bias)
        node = _producer_skipping(graph, product, _IDENTITIES)
    if node is None or not (node.op_type == "MatMul" or _is_plain_gemm(node)):
        return None
    weight = graph.constant(node.input[1])
    if weight is None or weight.ndim != _MATRIX_RANK or weight.dtype.kind != "f":
        return None
    biases.extend(graph.constant(name) for name in node.input[2:] if name)
    if not attribute(node, "transB", 0):
        weight = weight.T
    bias = _sum(biases, len(weight))
    if bias is None:
        return None
    in_float32 = np.ascontiguousarray(weight, np.float32)
    return _Linear(str(node.input[0]), in_float32, bias, weight.dtype == np.float32)


def _varying_and_constant(graph: Graph, node: "onnx.NodeProto") -> tuple[str, NDArray[Any] | None]:
    """Return the input of a commutative node that varies, and the value of the constant one."""
    first, second = node.input
    constant = graph.constant(second)
    return (second, graph.constant(first)) if constant is None else (first, constant)


def _sum(biases: list[NDArray[Any] | None], classes: int) -> NDArray[np.float32] | None:
    """Return the sum (K,) of biases, each (K,) or a scalar; None if one doesn't fit or varies."""
    total = np.zeros(classes, np.float32)
    for bias in biases:
        if bias is None or bias.size not in (1, classes):
            return None
        total += bias.reshape(-1).astype(np.float32)
    return total


def _is_plain_gemm(node: "onnx.NodeProto") -> bool:
    """Return whether a node is a Gemm without further factors that reads its input as it is."""
    factors = attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)
    return node.op_type == "Gemm" and factors == (1, 1) and not attribute(node, "transA", 0)


def _averages_channels_last(graph: Graph, node: "onnx.NodeProto") -> bool | None:
    """Return whether a mean over height and width reads channels last; None for another node."""
    if node.op_type == "GlobalAveragePool":
        return False
    if node.op_type != "ReduceMean":
        return None
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1:
        constant = graph.constant(node.input[1])
        axes = None if constant is None else constant.tolist()
    positive = frozenset(axis % _MAP_RANK for axis in axes or ())
    return {frozenset({2, 3}): False, frozenset({1, 2}): True}.get(positive)


def _fits(graph: Graph, activation: str, channels_last: bool, channels: int) -> bool:
    """Return whether an activation can have that many channels; True if its shape is unknown."""
    shape = graph.shape(activation)
    if shape is None:
        return True
    place = -1 if channels_last else 1
    return len(shape) == _MAP_RANK and shape[place] in (channels, None)


def _is_quantized(graph: Graph, activation: str, logits: str) -> bool:
    before = {id(node) for node in graph.ancestors(activation)}
    return any(
        node.op_type in QUANTIZATION and id(node) not in before for node in graph.ancestors(logits)
    )
