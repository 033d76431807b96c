"""What is read of a graph: its layers, its first filters, its head."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.runtime.inspection.layer_sessions import MOST, LayerSessions
from app.runtime.inspection.layers import read_structure


def saved(tmp_path, graph):
    onnx.save(graph, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def chain(nodes, constants, size=8, classes=2, image=None):
    """A graph of float tensors behind the usual input."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            *nodes,
        ],
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_layers_of_the_textbook_network_and_their_shapes(tmp_path, textbook):
    structure = read_structure(saved(tmp_path, textbook))
    assert [(layer.name, layer.op, layer.shape) for layer in structure.layers] == [
        ("planes", "Transpose", (3, 32, 32)),
        ("conv1.conv", "Conv", (6, 28, 28)),
        ("conv1", "Relu", (6, 28, 28)),
        ("pool1", "MaxPool", (6, 14, 14)),
        ("conv2.conv", "Conv", (8, 10, 10)),
        ("conv2", "Relu", (8, 10, 10)),
        ("pool2", "MaxPool", (8, 5, 5)),
        ("flat", "Flatten", (200,)),
        ("logits", "Gemm", (3,)),
        ("probabilities", "Softmax", (3,)),
    ]
    assert structure.first.name == "conv1"
    assert structure.filters.weights.shape == (6, 3, 5, 5)
    assert structure.head is None


def test_a_graph_without_a_convolution_has_vectors_only(tmp_path, graph):
    structure = read_structure(saved(tmp_path, graph()))
    assert [layer.name for layer in structure.layers] == ["embedding", "logits", "probabilities"]
    assert (structure.first, structure.filters, structure.head) == (None, None, None)


def test_both_files_of_the_default_model_call_their_layers_alike(imagenet):
    fp32 = read_structure(imagenet / "model.onnx")
    int8 = read_structure(imagenet / "model.int8.onnx")
    shapes = {layer.name: layer.shape for layer in fp32.layers}
    assert len(int8.layers) > 50
    assert all(shapes[layer.name] == layer.shape for layer in int8.layers)
    assert fp32.first.name == int8.first.name == "stem"
    kept = {layer.name for layer in int8.layers}
    # what int8 lacks is what its quantisation does in one: convolution and clipping
    assert {name for name in shapes if name not in kept} == {
        layer.name for layer in fp32.layers if layer.name.endswith(".conv")
    }
    # rounding moves a weight by more than a step where that makes up for others
    off = np.abs(fp32.filters.weights - int8.filters.weights).max()
    assert off < 0.1 * np.abs(fp32.filters.weights).max()
    assert fp32.head.weight.shape == int8.head.weight.shape == (1000, 1280)


def test_a_layer_of_the_int8_file_is_the_layer_of_the_fp32_file_but_for_rounding(imagenet, pixels):
    fp32, int8 = (
        (read_structure(path), LayerSessions(partial(Path, path)))
        for path in (imagenet / "model.onnx", imagenet / "model.int8.onnx")
    )
    for name in ("stem", "blocks.2", "embedding"):
        whole, rounded = (
            sessions.run(next(x.tensor for x in structure.layers if x.name == name), pixels)
            for structure, sessions in (fp32, int8)
        )
        likeness = np.corrcoef(whole.ravel(), rounded.ravel())[0, 1]
        assert likeness > 0.9, name


def test_layer_sessions_are_bounded_and_the_least_used_goes(tmp_path, textbook):
    sessions = LayerSessions(partial(saved, tmp_path, textbook))
    image = np.zeros((1, 32, 32, 3), np.uint8)
    names = ["planes", "conv1", "pool1", "conv2", "pool2", "conv1"]
    for name in names:
        sessions.run(name, image)
        assert len(sessions) <= MOST
    assert set(sessions._sessions) == {"pool1", "conv2", "pool2", "conv1"}


def test_a_layer_cut_off_equals_the_layer_as_an_output_of_the_whole(tmp_path, textbook):
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    whole = onnx.ModelProto()
    whole.CopyFrom(textbook)
    whole.graph.output.append(helper.make_tensor_value_info("conv2", TensorProto.FLOAT, None))
    session = ort.InferenceSession(whole.SerializeToString())
    wanted = session.run(["conv2"], {"image": image})[0]
    sessions = LayerSessions(partial(saved, tmp_path, textbook))
    np.testing.assert_allclose(sessions.run("conv2", image), wanted, atol=1e-6)


NODE = helper.make_node
FRONT = [NODE("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]), NODE("Conv", ["x", "w"], ["c"])]
WEIGHTS = {"w": np.ones((4, 3, 3, 3)) / 1000}


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        pytest.param(
            [
                NODE("Relu", ["c"], ["a"]),
                NODE("GlobalAveragePool", ["a"], ["p"]),
                NODE("Flatten", ["p"], ["v"]),
                NODE("Gemm", ["v", "h", "b"], ["l"]),
                NODE("Softmax", ["l"], ["probabilities"]),
            ],
            {"h": np.arange(8).reshape(4, 2), "b": [1, 2]},
            id="pool, flatten, Gemm",
        ),
        pytest.param(
            [
                NODE("Relu", ["c"], ["a"]),
                NODE("ReduceMean", ["a"], ["v"], axes=[-1, -2], keepdims=0),
                NODE("MatMul", ["v", "h"], ["m"]),
                NODE("Add", ["m", "b"], ["s"]),
                NODE("Div", ["s", "t"], ["l"]),
                NODE("Softmax", ["l"], ["probabilities"]),
            ],
            {"h": np.arange(8).reshape(4, 2), "b": [1, 2], "t": 2.0},
            id="mean, MatMul, Add, temperature",
        ),
    ],
)
def test_pooled_linear_heads_are_found_however_they_are_written(tmp_path, nodes, constants):
    head = read_structure(saved(tmp_path, chain(FRONT + nodes, WEIGHTS | constants))).head
    np.testing.assert_array_equal(head.weight, np.arange(8).reshape(4, 2).T)
    np.testing.assert_array_equal(head.bias, [1, 2])
    assert head.activation == "a"
    assert head.temperature == (2.0 if "t" in constants else 1.0)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(
            [
                NODE("GlobalMaxPool", ["c"], ["p"]),
                NODE("Flatten", ["p"], ["v"]),
                NODE("Gemm", ["v", "h"], ["l"]),
                NODE("Softmax", ["l"], ["probabilities"]),
            ],
            id="the largest instead of the mean",
        ),
        pytest.param(
            [
                NODE("GlobalAveragePool", ["c"], ["p"]),
                NODE("Flatten", ["p"], ["v"]),
                NODE("Gemm", ["v", "h"], ["g"]),
                NODE("Relu", ["g"], ["l"]),
                NODE("Softmax", ["l"], ["probabilities"]),
            ],
            id="something between the linear map and softmax",
        ),
        pytest.param(
            [
                NODE("GlobalAveragePool", ["c"], ["p"]),
                NODE("Flatten", ["p"], ["v"]),
                NODE("Gemm", ["v", "h"], ["l"]),
                NODE("Sigmoid", ["l"], ["probabilities"]),
            ],
            id="no softmax",
        ),
    ],
)
def test_what_is_no_pooled_linear_head_is_not_taken_for_one(tmp_path, nodes):
    graph = chain(FRONT + nodes, WEIGHTS | {"h": np.ones((4, 2))})
    assert read_structure(saved(tmp_path, graph)).head is None


def test_the_default_layer_follows_normalisation_and_swish(tmp_path):
    nodes = [
        *FRONT,
        NODE("BatchNormalization", ["c", "n", "n", "n", "n"], ["bn"]),
        NODE("Sigmoid", ["bn"], ["gate"]),
        NODE("Mul", ["bn", "gate"], ["swish"]),
        NODE("GlobalAveragePool", ["swish"], ["p"]),
        NODE("Flatten", ["p"], ["v"]),
        NODE("Gemm", ["v", "h"], ["l"]),
        NODE("Softmax", ["l"], ["probabilities"]),
    ]
    graph = chain(nodes, WEIGHTS | {"n": np.ones(4), "h": np.ones((4, 2))})
    assert read_structure(saved(tmp_path, graph)).first.name == "swish"
