"""A new head on backbones whose own head exporters wrote in different ways."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.calibration import softmax
from training.last_layer import Head
from training.onnx_graph.head import replace_head

NODE = helper.make_node
FORMS = [
    pytest.param([NODE("Gemm", ["embedding", "w", "b"], ["l"])], id="Gemm"),
    pytest.param(
        [NODE("MatMul", ["embedding", "w"], ["m"]), NODE("Add", ["m", "b"], ["l"])],
        id="MatMul, bias second",
    ),
    pytest.param(
        [NODE("MatMul", ["embedding", "w"], ["m"]), NODE("Add", ["b", "m"], ["l"])],
        id="MatMul, bias first",
    ),
]


def backbone(nodes):
    graph = helper.make_graph(
        [
            NODE("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            NODE("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
            NODE("ReduceMean", ["planes"], ["embedding"], axes=[2, 3], keepdims=0),
            *nodes,
            NODE("Softmax", ["l"], ["probabilities"]),
        ],
        "backbone",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 5]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3]),
        ],
        [
            numpy_helper.from_array(np.ones((3, 5), np.float32), "w"),
            numpy_helper.from_array(np.ones(5, np.float32), "b"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("nodes", FORMS)
def test_the_head_is_replaced_whichever_way_it_was_written(tmp_path, nodes):
    onnx.save(backbone(nodes), tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(2, 3)).astype(np.float32), np.array([0.5, -1], np.float32))
    model = replace_head(tmp_path / "model.onnx", head, 60.0, np.eye(3, dtype=np.float32))
    pixels = rng.integers(0, 256, (4, 8, 8, 3), np.uint8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    probabilities, embedding = session.run(["probabilities", "embedding"], {"image": pixels})
    assert embedding == pytest.approx(pixels.mean(axis=(1, 2)), abs=1e-3)
    assert probabilities == pytest.approx(softmax(head.logits(embedding) / 60), abs=1e-5)
    constants = {tensor.name for tensor in model.graph.initializer}
    assert constants == {"head.weight", "head.bias", "temperature", "prototypes", "shortest"}
