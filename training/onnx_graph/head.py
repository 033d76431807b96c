"""A backbone's graph and a new head -> the graph of a new model.

    embedding -> head (new) -> divided by the temperature (new) -> softmax -> probabilities [N, K]
    embedding -> its length brought to 1 -> times the prototypes -> the largest -> familiarity [N]

Nothing before the embedding is touched. Familiarity is made of float operations that the int8
quantizer passes over, so it means the same in both precisions.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.errors import DataUnusable
from training.last_layer import Head

_NEEDED = ("head.weight", "head.bias", "temperature")


def graft(
    backbone: Path, head: Head, temperature: float, prototypes: NDArray[np.float32]
) -> onnx.ModelProto:
    """The graph at `backbone` with another head, checked in full.

    Args:
        backbone: a graph written by onnx_graph.efficientnet_lite or int8.quantize.
        head: K classes of the embedding's D numbers.
        temperature: that the logits are divided by.
        prototypes: (P, D) of length 1.

    Raises:
        DataUnusable: the graph has no head of ours.
    """
    model = onnx.load(backbone)
    present = {tensor.name: tensor for tensor in model.graph.initializer}
    if lacking := [name for name in _NEEDED if name not in present]:
        raise DataUnusable(
            f"{backbone} has no {lacking[0]!r} to replace. Name a graph of Hubel's own training."
        )
    _put(present["head.weight"], head.weight)
    _put(present["head.bias"], head.bias)
    _put(present["temperature"], np.array(temperature, np.float32))
    outputs = {output.name: output for output in model.graph.output}
    shape = outputs["probabilities"].type.tensor_type.shape
    shape.dim[1].dim_value = len(head.bias)
    del model.graph.value_info[:]  # the int8 file tells the shapes in between, of the old head too
    add_familiarity(model.graph, prototypes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _put(tensor: onnx.TensorProto, value: NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))


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
            node("ReduceL2", ["embedding"], ["length"], name="length", axes=[1], keepdims=1),
            node("Max", ["length", "shortest"], ["divisor"], name="divisor"),
            node("Div", ["embedding", "divisor"], ["direction"], name="direction"),
            node("MatMul", ["direction", "prototypes"], ["cosines"], name="cosines"),
            node("ReduceMax", ["cosines"], ["familiarity"], name="nearest", axes=[1], keepdims=0),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("familiarity", TensorProto.FLOAT, ["N"]))
