"""A graph that reads normalised floats -> the self-contained graph of a bundle.

    image uint8 [N, S, S, 3] -> the source's layout and type -> (pixel - mean) / std
        -> the source's graph, unchanged
        -> logits -> divided by the temperature -> softmax -> probabilities [N, K]

A pooled linear head is replaced by the same head under the bundle's names: activation, embedding,
head.weight, head.bias. Embeddings need the output `embedding`; with the output `activation`, an
explanation needs no second run. Nodes that lead only to other outputs are removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from app.runtime.inspection.onnx_graph import Graph
from app.runtime.inspection.onnx_head import PooledHead, pooled_head
from training.importing.image_input import CHANNELS
from training.importing.source import Source

_RESERVED = frozenset(
    {
        *("image", "planes", "planes.order", "planes.reversed", "rows", "rows.shape"),
        *("pixels", "pixels.reversed", "pixels.float", "pixels.mean", "pixels.sub"),
        *("pixels.scale", "pixels.mul", "pixels.shape", "pixels.half"),
        *("activation", "embedding", "pooled", "temperature", "head.weight", "head.bias"),
        *("logits", "calibrated_logits", "probabilities", "source_output", "at_least", "smallest"),
        "logarithm",
    }
)
"""The names of tensors that this module adds; see `_PREFIX`."""
_PREFIX = "source/"
"""Put before all names of a source that has one of the reserved names."""
_OLDEST_IR = 8


@dataclass(frozen=True)
class Normalization:
    """The normalisation that the graph expects: (pixel / pixel_range - mean) / std, per channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pixel_range: Literal[1, 255]
    """The value of white, in the scale of mean and std."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """The order of channels that the graph reads, and of mean and std."""

    def applied(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return uint8 RGB (N, S, S, 3) as the graph reads it, channels last."""
        ordered = pixels if self.channels == "rgb" else pixels[..., ::-1]
        scaled = ordered.astype(np.float64) * (self.pixel_range / 255)
        return np.asarray((scaled - np.array(self.mean)) / np.array(self.std))


@dataclass(frozen=True, eq=False)
class Wrapped:
    """The graph of a bundle, made of a source."""

    model: onnx.ModelProto
    head: PooledHead | None
    """None where the source has no pooled linear head in float."""
    added_nodes: tuple[str, ...]
    """Names of the nodes before and after the source's."""


def wrap(
    model: onnx.ModelProto, source: Source, normalization: Normalization, classes: int
) -> Wrapped:
    """Return `model`, a variant of the graph of `source`, between pixels and probabilities."""
    prefix = _PREFIX if _RESERVED & _all_names(model) else ""
    if prefix:
        model = compose.add_prefix(model, prefix)
    logits = prefix + (source.softmax or source.output)
    head = None if source.is_float16 else _exact_head(model, logits)
    before = _Subgraph()
    _add_input(before, prefix + source.input, source, normalization)
    after = _Subgraph()
    if head is not None:
        _head(after, head)
    else:
        _logits(after, logits, source)
    after.node("Div", ["logits", "temperature"], "calibrated_logits")
    after.constant("temperature", np.array(1.0, np.float32))
    after.node("Softmax", ["calibrated_logits"], "probabilities", axis=1)
    wrapped = _joined(model, before, after, _outputs(head, classes), source.size)
    added_nodes = tuple(node.name for part in (before, after) for node in part.nodes)
    return Wrapped(wrapped, head, added_nodes)


def _exact_head(model: onnx.ModelProto, logits: str) -> PooledHead | None:
    """Return the pooled linear head of `logits`; None without one, or if part of it is int8."""
    head = pooled_head(Graph(model, logits), logits)
    return head if head is not None and head.is_exact else None


def set_temperature(model: onnx.ModelProto, temperature: float) -> None:
    """Set the divisor of the logits."""
    for tensor in model.graph.initializer:
        if tensor.name == "temperature":
            value = np.array(temperature, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


class _Subgraph:
    """The nodes and constants of one added part."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> None:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        name = f"hubel.{output}"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output


def _add_input(part: _Subgraph, target: str, source: Source, normalization: Normalization) -> None:
    """Add the nodes from the image to `target`, the tensor that the source reads.

    ONNX Runtime is slow where the innermost axis is the three channels: it takes 30 times as long
    to broadcast them there, and to reverse them. So planes (N, 3, S, S) are normalised, or rows of
    pixels (N, S, 3 S) where the source reads pixels last (docs/decisions/importing.md).
    """
    unit = 255 / normalization.pixel_range
    mean = np.array(normalization.mean, np.float32) * np.float32(unit)
    scale = (1 / (np.array(normalization.std) * unit)).astype(np.float32)
    is_planar, is_reversed = source.layout == "nchw", normalization.channels == "bgr"
    last = "image"
    if is_planar or is_reversed:
        last = part.node("Transpose", [last], "planes", perm=[0, 3, 1, 2])
    if is_reversed:
        part.constant("planes.order", np.arange(CHANNELS)[::-1].astype(np.int64))
        last = part.node("Gather", [last, "planes.order"], "planes.reversed", axis=1)
        if not is_planar:
            last = part.node("Transpose", [last], "pixels.reversed", perm=[0, 2, 3, 1])
    last = part.node("Cast", [last], "pixels.float", to=TensorProto.FLOAT)
    if is_planar:
        shape: tuple[int, ...] = (CHANNELS, 1, 1)
    else:
        shape = (source.size * CHANNELS,)
        mean, scale = np.tile(mean, source.size), np.tile(scale, source.size)
        part.constant("rows.shape", np.array([0, source.size, *shape], np.int64))
        last = part.node("Reshape", [last, "rows.shape"], "rows")
    for op, name, value, neutral in (("Sub", "mean", mean, 0), ("Mul", "scale", scale, 1)):
        if (value != neutral).any():
            part.constant(f"pixels.{name}", value.reshape(shape))
            last = part.node(op, [last, f"pixels.{name}"], f"pixels.{op.lower()}")
    if not is_planar:
        sides = np.array([0, source.size, source.size, CHANNELS], np.int64)
        part.constant("pixels.shape", sides)
        last = part.node("Reshape", [last, "pixels.shape"], "pixels")
    if source.is_float16:
        part.node("Cast", [last], "pixels.half", to=TensorProto.FLOAT16)
    part.nodes[-1].output[0] = target


def _head(part: _Subgraph, head: PooledHead) -> None:
    # The bundle's temperature is fitted anew, so the source's is folded into the weights.
    part.constant("head.weight", head.weight / np.float32(head.temperature))
    part.constant("head.bias", head.bias / np.float32(head.temperature))
    if head.channels_last:
        part.node("Transpose", [head.activation], "activation", perm=[0, 3, 1, 2])
    else:
        part.node("Identity", [head.activation], "activation")
    part.node("GlobalAveragePool", ["activation"], "pooled")
    part.node("Flatten", ["pooled"], "embedding", axis=1)
    part.node("Gemm", ["embedding", "head.weight", "head.bias"], "logits", transB=1)


def _logits(part: _Subgraph, tensor: str, source: Source) -> None:
    """Add logits [N, K]: the source's, or the logarithm of its probabilities."""
    part.node("Cast", [tensor], "source_output", to=TensorProto.FLOAT)
    last = "source_output"
    if source.kind == "probabilities" and source.softmax is None:
        part.constant("smallest", np.array(np.finfo(np.float32).tiny, np.float32))
        part.node("Max", [last, "smallest"], "at_least")
        part.node("Log", ["at_least"], "logarithm")
        last = "logarithm"
    part.node("Flatten", [last], "logits", axis=1)


def _outputs(head: PooledHead | None, classes: int) -> list[onnx.ValueInfoProto]:
    floats = TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("probabilities", floats, ["N", classes])]
    if head is not None:
        width = head.weight.shape[1]
        outputs += [
            helper.make_tensor_value_info("embedding", floats, ["N", width]),
            helper.make_tensor_value_info("activation", floats, ["N", width, "h", "w"]),
        ]
    return outputs


def _joined(
    model: onnx.ModelProto,
    before: _Subgraph,
    after: _Subgraph,
    outputs: Sequence[onnx.ValueInfoProto],
    size: int,
) -> onnx.ModelProto:
    """Return one graph of all three, without the nodes that no output needs."""
    nodes = [*before.nodes, *model.graph.node, *after.nodes]
    needed = {output.name for output in outputs}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input) | _names_inside(node)
    tensors = [*model.graph.initializer, *before.initializers, *after.initializers]
    graph = helper.make_graph(
        kept[::-1],
        "imported",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, CHANNELS])],
        list(outputs),
        [tensor for tensor in tensors if tensor.name in needed],
    )
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    return helper.make_model(
        graph,
        producer_name="hubel",
        ir_version=max(model.ir_version, _OLDEST_IR),
        opset_imports=model.opset_import,
        functions=model.functions,
    )


def _names_inside(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node's branches and loops read, in the outer graph too."""
    graphs = [inner for a in node.attribute for inner in (a.g, *a.graphs)]
    inner = [each for graph in graphs for each in graph.node]
    names = {value.name for graph in graphs for value in graph.output}
    return names.union(*({*each.input, *_names_inside(each)} for each in inner))


def _all_names(model: onnx.ModelProto) -> set[str]:
    graph = model.graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return names | {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
