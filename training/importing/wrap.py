"""A graph that reads prepared floats -> the self-contained graph of a bundle.

    image uint8 [N, S, S, 3] -> prepared as the source reads it          input_nodes
        -> the source's graph, unchanged
        -> logits -> divided by the temperature -> softmax -> probabilities [N, K]
           or, multi-label: -> times the scale, plus the offset of each label -> sigmoid

A pooled linear head is replaced by the same head under the bundle's names: activation, embedding,
head.weight, head.bias. With the output `activation`, an explanation needs no second run. Of another
linear head, what it reads is the output `embedding`. Nodes that lead only to other outputs are
removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from app.bundle import InputSpec
from app.runtime.inspection.onnx_graph import Graph
from app.runtime.inspection.onnx_head import PooledHead, linear_input, pooled_head
from training.importing.input_nodes import add_input_nodes
from training.importing.output_kind import OutputForm
from training.importing.preparation import Preparation
from training.importing.subgraph import Subgraph
from training.label_calibration import LabelCalibration
from training.onnx_graph.nodes import needed_nodes

_PREFIX = "source/"
"""Put before all names of a source that has one of the bundle's names."""
_OLDEST_IR = 8


@dataclass(frozen=True, eq=False)
class Wrapped:
    """The graph of a bundle, made of a source."""

    model: onnx.ModelProto
    has_head: bool
    """True if it ends with a pooled linear head in float, under the bundle's names."""
    has_embedding: bool
    """True if it has the output `embedding`."""
    added_nodes: tuple[str, ...]
    """Names of the nodes before and after the source's."""


@dataclass(frozen=True, eq=False)
class _Head:
    """The recognised parts of a source's head."""

    pooled: PooledHead | None
    """The pooled linear head in float, if it is one."""
    vector: tuple[str, int] | None
    """The tensor [N, D] that another linear head reads, and D."""

    @property
    def width(self) -> int | None:
        """The length of the embedding; None where there is none."""
        if self.pooled is not None:
            return int(self.pooled.weight.shape[1])
        return None if self.vector is None else self.vector[1]


def wrap(
    model: onnx.ModelProto, preparation: Preparation, form: OutputForm, classes: int
) -> Wrapped:
    """Return `model`, a variant of a source's graph, between pixels and probabilities."""
    head = _head_of(model, form.logits or form.tensor)
    before, after = _parts("", head, preparation, form, classes)
    if (before.names | after.names | {"image"}) & _all_names(model):
        model = compose.add_prefix(model, _PREFIX)
        head = _head_of(model, _PREFIX + (form.logits or form.tensor))
        before, after = _parts(_PREFIX, head, preparation, form, classes)
    wrapped = _joined(model, before, after, _outputs(head, classes), preparation.spec)
    added_nodes = tuple(node.name for part in (before, after) for node in part.nodes)
    return Wrapped(wrapped, head.pooled is not None, head.width is not None, added_nodes)


def set_temperature(model: onnx.ModelProto, temperature: float) -> None:
    """Set the divisor of the logits, in the graph or in the body of its Scan."""
    graphs = [model.graph, *(a.g for node in model.graph.node for a in node.attribute)]
    for tensor in (tensor for graph in graphs for tensor in graph.initializer):
        if tensor.name.rpartition("/")[2] == "temperature":
            value = np.array(temperature, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def set_label_calibration(model: onnx.ModelProto, calibration: LabelCalibration) -> None:
    """Set each label's scale and offset, in the head or behind the logits."""
    scales, offsets = calibration.scales, calibration.offsets
    graphs = [model.graph, *(a.g for node in model.graph.node for a in node.attribute)]
    for tensor in (tensor for graph in graphs for tensor in graph.initializer):
        value = numpy_helper.to_array(tensor)
        match tensor.name.rpartition("/")[2]:
            case "head.weight":
                value = value * scales[:, np.newaxis]
            case "head.bias":
                value = value * scales + offsets
            case "label_scales":
                value = scales
            case "label_offsets":
                value = offsets
            case _:
                continue
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))


def _head_of(model: onnx.ModelProto, logits: str) -> _Head:
    """Return the head of `logits`; a pooled one counts only if all of it is float."""
    graph = Graph(model, logits)
    head = pooled_head(graph, logits)
    if head is not None and head.is_exact:
        return _Head(head, None)
    return _Head(None, linear_input(graph, logits))


def _parts(
    prefix: str,
    head: _Head,
    preparation: Preparation,
    form: OutputForm,
    classes: int,
) -> tuple[Subgraph, Subgraph]:
    """Return the nodes before and after the source's, whose names begin with `prefix`."""
    before, after = Subgraph(), Subgraph()
    add_input_nodes(before, prefix + preparation.image.name, preparation)
    if head.pooled is not None:
        _pooled(after, head.pooled, form)
    else:
        _logits(after, prefix, form, classes)
    if head.vector is not None:
        after.node("Cast", [head.vector[0]], "embedding", to=TensorProto.FLOAT)
    if form.task == "multi_label":
        _sigmoids(after, classes, has_head=head.pooled is not None)
        return before, after
    after.constant("temperature", np.array(1.0, np.float32))
    after.node("Div", ["logits", "temperature"], "calibrated_logits")
    after.node("Softmax", ["calibrated_logits"], "probabilities", axis=1)
    return before, after


def _sigmoids(part: Subgraph, classes: int, *, has_head: bool) -> None:
    """Add a sigmoid for each label; a head holds the scales and offsets itself."""
    last = "logits"
    if not has_head:
        scales = part.constant("label_scales", np.ones(classes, np.float32))
        offsets = part.constant("label_offsets", np.zeros(classes, np.float32))
        part.node("Mul", [last, scales], "scaled_logits")
        last = part.node("Add", ["scaled_logits", offsets], "calibrated_logits")
    part.node("Sigmoid", [last], "probabilities")


def _pooled(part: Subgraph, head: PooledHead, form: OutputForm) -> None:
    # The bundle's temperature is fitted anew, so the source's is folded into the weights.
    weight = head.weight / np.float32(head.temperature)
    bias = head.bias / np.float32(head.temperature)
    if form.is_binary:  # softmax of (0, z) is (1 - sigmoid(z), sigmoid(z))
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append(np.float32(0), bias)
    part.constant("head.weight", weight)
    part.constant("head.bias", bias)
    if head.channels_last:
        part.node("Transpose", [head.activation], "activation", perm=[0, 3, 1, 2])
    else:
        part.node("Identity", [head.activation], "activation")
    part.node("GlobalAveragePool", ["activation"], "pooled")
    part.node("Flatten", ["pooled"], "embedding", axis=1)
    part.node("Gemm", ["embedding", "head.weight", "head.bias"], "logits", transB=1)


def _logits(part: Subgraph, prefix: str, form: OutputForm, classes: int) -> None:
    """Add logits [N, K]: the source's, or the logarithm of its probabilities."""
    tensor = prefix + (form.logits or form.tensor)
    columns = 1 if form.is_binary else classes
    last = part.node("Cast", [tensor], "source_output", to=TensorProto.FLOAT)
    rows = part.constant("rows_of_classes", np.array([-1, columns], np.int64))
    last = part.node("Reshape", [last, rows], "source_rows")
    if form.is_binary:
        second = part.constant("second", np.array([[0, 1]], np.float32))
        last = part.node("MatMul", [last, second], "both")  # (0, z)
        if form.kind == "probabilities" and form.logits is None:
            first = part.constant("first", np.array([1, 0], np.float32))
            sign = part.constant("sign", np.array([-1, 1], np.float32))
            twice = part.constant("twice", np.array([[1, 1]], np.float32))
            last = part.node("MatMul", ["source_rows", twice], "both_probabilities")
            last = part.node("Mul", [last, sign], "signed")
            last = part.node("Add", [last, first], "complement")  # (1 - p, p)
    if form.task == "multi_label" and form.kind == "probabilities" and form.logits is None:
        last = _log_odds(part, last)
    elif form.kind == "probabilities" and form.logits is None:
        part.constant("smallest", np.array(np.finfo(np.float32).tiny, np.float32))
        part.node("Max", [last, "smallest"], "at_least")
        last = part.node("Log", ["at_least"], "logarithm")
    part.node("Identity", [last], "logits")


def _log_odds(part: Subgraph, probabilities: str) -> str:
    """Add the logits whose sigmoids are `probabilities`; return their name."""
    numbers = np.finfo(np.float32)
    low = part.constant("smallest", np.array(numbers.tiny, np.float32))
    high = part.constant("largest", np.array(1 - numbers.epsneg, np.float32))
    one = part.constant("one", np.array(1, np.float32))
    inside = part.node("Clip", [probabilities, low, high], "inside")
    rest = part.node("Sub", [one, inside], "rest")
    odds = part.node("Div", [inside, rest], "odds")
    return part.node("Log", [odds], "log_odds")


def _outputs(head: _Head, classes: int) -> list[onnx.ValueInfoProto]:
    floats = TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("probabilities", floats, ["N", classes])]
    width = head.width
    if width is not None:
        outputs.append(helper.make_tensor_value_info("embedding", floats, ["N", width]))
    if head.pooled is not None:
        shape = ["N", width, "h", "w"]
        outputs.append(helper.make_tensor_value_info("activation", floats, shape))
    return outputs


def _joined(
    model: onnx.ModelProto,
    before: Subgraph,
    after: Subgraph,
    outputs: Sequence[onnx.ValueInfoProto],
    spec: InputSpec,
) -> onnx.ModelProto:
    """Return one graph of all three, without the nodes that no output needs."""
    nodes = [*before.nodes, *model.graph.node, *after.nodes]
    kept, needed = needed_nodes(nodes, [output.name for output in outputs])
    tensors = [*model.graph.initializer, *before.initializers, *after.initializers]
    graph = helper.make_graph(
        kept,
        "imported",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *spec.shape])],
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


def _all_names(model: onnx.ModelProto) -> set[str]:
    graph = model.graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return names | {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
