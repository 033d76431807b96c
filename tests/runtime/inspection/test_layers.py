"""The structure that is read from a graph, and the sessions of its layers."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from app.runtime.inspection.layer_sessions import MAX_SESSIONS, LayerSessions
from app.runtime.inspection.layers import read_structure


def saved(tmp_path, graph):
    onnx.save(graph, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


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
    assert structure.default_layer.name == "conv1"
    assert structure.filters.weights.shape == (6, 3, 5, 5)
    assert structure.head is None


def test_a_graph_without_a_convolution_has_vectors_only(tmp_path, graph):
    structure = read_structure(saved(tmp_path, graph()))
    assert [layer.name for layer in structure.layers] == ["embedding", "logits", "probabilities"]
    assert (structure.default_layer, structure.filters, structure.head) == (None, None, None)


def test_layers_have_the_same_names_in_both_files_of_the_default_model(imagenet):
    fp32 = read_structure(imagenet / "model.onnx")
    int8 = read_structure(imagenet / "model.int8.onnx")
    shapes = {layer.name: layer.shape for layer in fp32.layers}
    assert len(int8.layers) > 50
    assert all(shapes[layer.name] == layer.shape for layer in int8.layers)
    assert fp32.default_layer.name == int8.default_layer.name == "stem"
    kept = {layer.name for layer in int8.layers}
    # int8 lacks the convolutions alone: quantisation joins them with their clipping
    assert {name for name in shapes if name not in kept} == {
        layer.name for layer in fp32.layers if layer.name.endswith(".conv")
    }
    # GPTQ moves a weight by more than a step where that makes up for others
    difference = np.abs(fp32.filters.weights - int8.filters.weights).max()
    assert difference < 0.1 * np.abs(fp32.filters.weights).max()
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
        correlation = np.corrcoef(whole.ravel(), rounded.ravel())[0, 1]
        assert correlation > 0.9, name


def test_layer_sessions_are_bounded_and_the_least_recently_used_is_dropped(tmp_path, textbook):
    sessions = LayerSessions(partial(saved, tmp_path, textbook))
    image = np.zeros((1, 32, 32, 3), np.uint8)
    names = ["planes", "conv1", "pool1", "conv2", "pool2", "conv1"]
    for name in names:
        sessions.run(name, image)
        assert len(sessions) <= MAX_SESSIONS
    assert set(sessions._sessions) == {"pool1", "conv2", "pool2", "conv1"}


def test_a_layer_of_the_cut_graph_equals_the_layer_of_the_whole_graph(tmp_path, textbook):
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    whole = onnx.ModelProto()
    whole.CopyFrom(textbook)
    whole.graph.output.append(helper.make_tensor_value_info("conv2", TensorProto.FLOAT, None))
    session = ort.InferenceSession(whole.SerializeToString())
    expected = session.run(["conv2"], {"image": image})[0]
    sessions = LayerSessions(partial(saved, tmp_path, textbook))
    np.testing.assert_allclose(sessions.run("conv2", image), expected, atol=1e-6)


def test_the_default_layer_follows_normalisation_and_swish(tmp_path, convolutional):
    nodes = [
        helper.make_node("BatchNormalization", ["c", "n", "n", "n", "n"], ["bn"]),
        helper.make_node("Sigmoid", ["bn"], ["gate"]),
        helper.make_node("Mul", ["bn", "gate"], ["swish"]),
        helper.make_node("GlobalAveragePool", ["swish"], ["p"]),
        helper.make_node("Flatten", ["p"], ["v"]),
        helper.make_node("Gemm", ["v", "h"], ["l"]),
        helper.make_node("Softmax", ["l"], ["probabilities"]),
    ]
    graph = convolutional(nodes, {"n": np.ones(4), "h": np.ones((4, 3))})
    assert read_structure(saved(tmp_path, graph)).default_layer.name == "swish"
