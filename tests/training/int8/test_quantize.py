"""The convolutions of a quantised graph have seven-bit weights and corrected biases."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.int8.quantize import quantize

SIDE = 12


def _graph(**constants):
    """Return pixels -> a convolution without bias -> ReLU -> two with one weight, added up."""
    rng = np.random.default_rng(0)
    values = {
        "scale": np.array(1 / 128, np.float32),
        "zero": np.array(127, np.uint8),
        "first": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "second": rng.normal(size=(8, 8, 1, 1)).astype(np.float32),
        **constants,
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["pixels"]),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first"], ["a"], name="a"),
        helper.make_node("Relu", ["a"], ["b"], name="b"),
        helper.make_node("Conv", ["b", "second"], ["c"], name="c"),
        helper.make_node("Conv", ["c", "second"], ["d"], name="d"),
        helper.make_node("Add", ["c", "d"], ["e"], name="e"),
        helper.make_node("ReduceMean", ["e"], ["probabilities"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "some",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def quantized(tmp_path):
    """Return the folder of both graphs, the photos, and the constants of the int8 graph."""
    pixels = np.random.default_rng(1).integers(60, 256, (20, SIDE, SIDE, 3), np.uint8)
    onnx.save(_graph(), tmp_path / "fp32.onnx")
    quantize(tmp_path / "fp32.onnx", pixels, tmp_path / "int8.onnx")
    tensors = onnx.load(tmp_path / "int8.onnx").graph.initializer
    return tmp_path, pixels, {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}


def _run(file, pixels):
    return ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(
        ["probabilities"], {"image": pixels}
    )[0]


def test_weights_have_seven_bits(quantized):
    *_, constants = quantized
    rounded = constants["first_quantized"]
    assert rounded.dtype == np.int8
    assert np.abs(rounded).max() == 64


def test_a_convolution_without_a_bias_gets_one_for_its_mean_error(quantized):
    folder, pixels, constants = quantized
    assert np.abs(constants["first.bias_quantized"]).max() > 0
    means = [_run(folder / f"{which}.onnx", pixels).mean(axis=0) for which in ("fp32", "int8")]
    assert means[1] == pytest.approx(means[0], abs=0.02 * float(np.abs(means[0]).max()))


def test_a_shared_weight_is_left_to_onnx_runtime(quantized):
    *_, constants = quantized
    assert "second.bias_quantized" not in constants
    assert np.abs(constants["second_quantized"]).max() == 127


def test_the_source_graph_is_unchanged(quantized):
    folder, *_ = quantized
    assert onnx.load(folder / "fp32.onnx") == _graph()
