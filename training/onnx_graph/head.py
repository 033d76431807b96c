"""A backbone's graph and a new head -> the graph of a new model.

    embedding -> head (new) -> divided by the temperature (new) -> softmax -> probabilities [N, K]
    embedding -> scaled to length 1 -> times the prototypes -> maximum -> familiarity [N]

No node before the embedding changes, and nodes that lead only to the old head are removed.
Familiarity is computed by float operations that the int8 quantizer skips, so it means the same in
both precisions.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper

from training.errors import DataUnusable
from training.last_layer import Head
from training.onnx_graph.builder import OPSET, GraphBuilder
from training.onnx_graph.nodes import needed_nodes

_EMBEDDING = "embedding"
_KEPT_OUTPUTS = (_EMBEDDING, "activation")
_PREFIX = "backbone/"
"""Put before all names of a backbone that has one of the new head's names."""
_OLDEST_OPSET = 11
"""The first version in which an axis may be negative."""


def replace_head(
    backbone: Path,
    head: Head,
    temperature: float,
    prototypes: NDArray[np.float32],
    *,
    sigmoid: bool = False,
) -> onnx.ModelProto:
    """Return the graph at `backbone` with another head, checked in full if Hubel built it.

    Args:
        backbone: a graph with the output `embedding`.
        head: weights (K, D) and bias (K,).
        temperature: the divisor of the logits.
        prototypes: (P, D) of length 1.
        sigmoid: whether each label is decided by itself, by a sigmoid.

    Raises:
        DataUnusable: the graph has no embedding.
    """
    model = onnx.load(backbone)
    require_embedding(model, backbone)
    opset = _opset(model)
    _keep_up_to_embedding(model.graph)
    added = GraphBuilder(opset=opset)
    added.add_head(head.weight, head.bias, temperature, sigmoid=sigmoid)
    _add_familiarity(added, prototypes)
    if _inner_names(model.graph) & added.names:
        _add_prefix(model)
    model.graph.node.extend(added.nodes)
    model.graph.initializer.extend(added.initializers)
    outputs = list(model.graph.output)
    del model.graph.output[:]
    probabilities = _output("probabilities", len(head.bias))
    model.graph.output.extend([probabilities, *outputs, _output("familiarity")])
    if opset == OPSET:  # onnx's inference of shapes rejects some older graphs that run
        onnx.checker.check_model(model, full_check=True)
    return model


def require_embedding(model: onnx.ModelProto, path: Path) -> None:
    """Reject a graph whose head can't be replaced.

    Raises:
        DataUnusable: it has no output `embedding`, or its opset is too old.
    """
    if _EMBEDDING not in {output.name for output in model.graph.output}:
        raise DataUnusable(
            f"{path} has no embedding, which a new last layer needs. Use lite0, lite2, a bundle "
            "made by `hubel train`, or an imported model that ends with a linear layer."
        )
    if _opset(model) < _OLDEST_OPSET:
        raise DataUnusable(
            f"{path} has the opset {_opset(model)}, and a new last layer needs {_OLDEST_OPSET}. "
            "Export the model again with a newer opset, and import it."
        )


def add_familiarity(graph: onnx.GraphProto, prototypes: NDArray[np.float32]) -> None:
    """Add the output `familiarity` to a graph of builder.OPSET; `prototypes` is (P, D)."""
    added = GraphBuilder()
    _add_familiarity(added, prototypes)
    graph.node.extend(added.nodes)
    graph.initializer.extend(added.initializers)
    graph.output.append(_output("familiarity"))


def add_familiarity_to(model: onnx.ModelProto, prototypes: NDArray[np.float32]) -> None:
    """Add the output `familiarity` to a finished model with an `embedding`, of any opset."""
    added = GraphBuilder(opset=_opset(model))
    _add_familiarity(added, prototypes)
    if _inner_names(model.graph) & added.names:
        _add_prefix(model)
    model.graph.node.extend(added.nodes)
    model.graph.initializer.extend(added.initializers)
    model.graph.output.append(_output("familiarity"))


def _add_familiarity(graph: GraphBuilder, prototypes: NDArray[np.float32]) -> None:
    transposed = graph.constant("prototypes", prototypes.T)
    shortest = graph.constant("shortest", np.array(np.finfo(np.float32).tiny, np.float32))
    graph.reduce("ReduceL2", _EMBEDDING, "length", name="length", keepdims=1)
    graph.node("Max", ["length", shortest], "divisor")
    graph.node("Div", [_EMBEDDING, "divisor"], "direction")
    graph.node("MatMul", ["direction", transposed], "cosines")
    graph.reduce("ReduceMax", "cosines", "familiarity", name="nearest", keepdims=0)


def _output(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])


def _opset(model: onnx.ModelProto) -> int:
    return next(int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx"))


def _keep_up_to_embedding(graph: onnx.GraphProto) -> None:
    """Remove all that the outputs embedding and activation don't depend on."""
    outputs = [output for output in graph.output if output.name in _KEPT_OUTPUTS]
    nodes, needed = needed_nodes(graph.node, [output.name for output in outputs])
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    kept = helper.make_graph(nodes, graph.name, graph.input, outputs, constants)
    kept.sparse_initializer.extend(graph.sparse_initializer)
    graph.CopyFrom(kept)  # without the declared shapes, some of which are the old head's


def _add_prefix(model: onnx.ModelProto) -> None:
    """Put a prefix before all inner names; the input and the outputs keep their names."""
    graph = model.graph
    inner = compose.add_prefix_graph(graph, _PREFIX)
    first, last = (
        [(value.name, _PREFIX + value.name) for value in values]
        for values in (graph.input, graph.output)
    )
    renamed = helper.make_graph(
        [
            *(helper.make_node("Identity", [outer], [name]) for outer, name in first),
            *inner.node,
            *(helper.make_node("Identity", [name], [outer]) for outer, name in last),
        ],
        graph.name,
        graph.input,
        graph.output,
        inner.initializer,
    )
    renamed.sparse_initializer.extend(inner.sparse_initializer)
    graph.CopyFrom(renamed)


def _inner_names(graph: onnx.GraphProto) -> set[str]:
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    names |= {tensor.name for tensor in graph.initializer}
    return names - {output.name for output in graph.output}
