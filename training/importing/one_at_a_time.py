"""A graph for one picture at a time -> a graph for any number, which runs them one by one.

    image uint8 [N, S, S, 3] -> Scan over N: picture [S, S, 3] -> the graph -> probabilities [K],
                                                                               embedding [D]

For graphs whose batch size is a constant in many places, and for those in which the pictures of a
run change each other's predictions: dynamic quantisation takes one range for all of them.
"""

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from training.importing.image_input import COLOUR
from training.importing.wrap import Wrapped

_PREFIX = "picture/"
_KEPT_OUTPUTS = ("probabilities", "embedding")


def scan(wrapped: Wrapped, batch: int) -> Wrapped:
    """Return a graph that runs `wrapped` for each picture of `image`.

    Probabilities and the embedding are kept: another layer inside a Scan can't be an output.

    Args:
        wrapped: a graph that gives right predictions for `batch` equal pictures.
        batch: its batch size. A picture is repeated where it is more than one.
    """
    model = wrapped.model
    (image,) = model.graph.input
    outputs = [value for value in model.graph.output if value.name in _KEPT_OUTPUTS]
    size = image.type.tensor_type.shape.dim[1].dim_value
    body = compose.add_prefix_graph(model.graph, _PREFIX)
    pictures = _PREFIX + image.name
    shape = np.array([batch, size, size, COLOUR], np.int64)
    before = [helper.make_node("Expand", ["picture", "pictures.shape"], [pictures])]
    after = [
        helper.make_node("Gather", [_PREFIX + value.name, "first"], [f"{value.name}.row"], axis=0)
        for value in outputs
    ]
    inner = helper.make_graph(
        [*before, *body.node, *after],
        "one_picture",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [size, size, COLOUR])],
        [
            helper.make_tensor_value_info(f"{value.name}.row", TensorProto.FLOAT, [_width(value)])
            for value in outputs
        ],
        [
            *body.initializer,
            numpy_helper.from_array(shape, "pictures.shape"),
            numpy_helper.from_array(np.array(0, np.int64), "first"),
        ],
    )
    inner.sparse_initializer.extend(body.sparse_initializer)
    node = helper.make_node(
        "Scan",
        ["image"],
        [value.name for value in outputs],
        "hubel.scan",
        body=inner,
        num_scan_inputs=1,
    )
    outer = helper.make_graph([node], "imported", [image], outputs)
    made = helper.make_model(
        outer,
        producer_name="hubel",
        ir_version=model.ir_version,
        opset_imports=model.opset_import,
        functions=model.functions,
    )
    return Wrapped(
        made, has_head=False, has_embedding=wrapped.has_embedding, added_nodes=(node.name,)
    )


def _width(value: onnx.ValueInfoProto) -> int:
    return int(value.type.tensor_type.shape.dim[1].dim_value)
