"""A graph for a fixed number of pictures -> graphs for any number, the likeliest to work first.

Often only the declared shapes are fixed. Otherwise the batch size is also a constant of Reshape
nodes, where 0 means "as in the input". A run with two pictures shows which variant is right.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from training.importing.source import Source


def variants(source: Source) -> Iterator[onnx.ModelProto]:
    """Yield the graph with dynamic declared shapes, then with dynamic Reshape constants, too.

    The same model is yielded twice and changed in between; use it before taking the next.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    for value in (*model.graph.input, *model.graph.output):
        if dims := value.type.tensor_type.shape.dim:
            dims[0].dim_param = "N"
    del model.graph.value_info[:]
    yield model
    _make_reshapes_dynamic(model, source.image.batch or 1)
    yield model


def _make_reshapes_dynamic(model: onnx.ModelProto, batch: int) -> None:
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    for index, node in enumerate(model.graph.node):
        if node.op_type != "Reshape" or node.input[0] in constants:
            continue
        if node.input[1] not in constants or _allows_zero(node):
            continue
        shape = numpy_helper.to_array(constants[node.input[1]])
        if len(shape) > 1 and shape[0] == batch:
            dynamic = np.concatenate([[0], shape[1:]]).astype(np.int64)
            node.input[1] = f"dynamic.{index}"
            model.graph.initializer.append(numpy_helper.from_array(dynamic, node.input[1]))


def _allows_zero(node: onnx.NodeProto) -> bool:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return bool(attributes.get("allowzero", 0))
