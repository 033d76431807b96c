"""A backbone's graph and a new head -> the graph of a new model.

    embedding -> head (new) -> divided by the temperature (new) -> softmax -> probabilities [N, K]
    embedding -> scaled to length 1 -> times the prototypes -> maximum -> familiarity [N]

No node before the embedding changes. Familiarity is computed by float operations that the int8
quantizer skips, so it means the same in both precisions.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.runtime.inspection.onnx_graph import Graph
from app.runtime.inspection.onnx_head import pooled_head
from training.errors import DataUnusable
from training.last_layer import Head
from training.onnx_graph import builder

_EMBEDDING = "embedding"


def replace_head(
    backbone: Path,
    head: Head,
    temperature: float,
    prototypes: NDArray[np.float32],
    *,
    sigmoid: bool = False,
) -> onnx.ModelProto:
    """Return the graph at `backbone` with another head, checked in full.

    Args:
        backbone: a graph of builder.OPSET, whose pooled linear head reads the output `embedding`.
        head: weights (K, D) and bias (K,).
        temperature: the divisor of the logits.
        prototypes: (P, D) of length 1.
        sigmoid: whether each label is decided by itself, by a sigmoid.

    Raises:
        DataUnusable: the graph has no such head.
    """
    model = onnx.load(backbone)
    graph = Graph(model)
    if not _is_replaceable(graph):
        raise DataUnusable(
            f"{backbone} has no head that can be replaced. "
            "Use a bundle made by `hubel train` or `training.imagenet`."
        )
    _remove_head(model.graph, graph)
    head_builder = builder.GraphBuilder()
    head_builder.add_head(head.weight, head.bias, temperature, sigmoid=sigmoid)
    model.graph.node.extend(head_builder.nodes)
    model.graph.initializer.extend(head_builder.initializers)
    outputs = {output.name: output for output in model.graph.output}
    shape = outputs["probabilities"].type.tensor_type.shape
    shape.dim[1].dim_value = len(head.bias)
    del model.graph.value_info[:]  # the int8 file declares the shapes of the old head, too
    add_familiarity(model.graph, prototypes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _is_replaceable(graph: Graph) -> bool:
    head = pooled_head(graph)
    opsets = [each.version for each in graph.model.opset_import if each.domain in ("", "ai.onnx")]
    return head is not None and head.embedding == _EMBEDDING and opsets == [builder.OPSET]


def _remove_head(proto: onnx.GraphProto, graph: Graph) -> None:
    """Remove the nodes between the embedding and the probabilities, and their constants."""
    kept = {id(node) for node in graph.ancestors(_EMBEDDING)}
    removed = [node for node in graph.nodes if id(node) not in kept]
    for node in removed:
        proto.node.remove(node)
    still_read = {name for node in proto.node for name in node.input}
    constants = {name for node in removed for name in node.input} - still_read
    for tensor in [tensor for tensor in proto.initializer if tensor.name in constants]:
        proto.initializer.remove(tensor)


def add_familiarity(graph: onnx.GraphProto, prototypes: NDArray[np.float32]) -> None:
    """Add the output `familiarity` to a graph with an `embedding`; `prototypes` is (P, D)."""
    constants = {
        "prototypes": np.ascontiguousarray(prototypes.T),
        "shortest": np.array(np.finfo(np.float32).tiny, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    node = helper.make_node
    graph.node.extend(
        [
            node("ReduceL2", [_EMBEDDING], ["length"], name="length", axes=[1], keepdims=1),
            node("Max", ["length", "shortest"], ["divisor"], name="divisor"),
            node("Div", [_EMBEDDING, "divisor"], ["direction"], name="direction"),
            node("MatMul", ["direction", "prototypes"], ["cosines"], name="cosines"),
            node("ReduceMax", ["cosines"], ["familiarity"], name="nearest", axes=[1], keepdims=0),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("familiarity", TensorProto.FLOAT, ["N"]))
