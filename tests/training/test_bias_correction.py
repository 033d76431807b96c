import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.bias_correction import correct_biases


def _one_convolution(weight, bias):
    constants = {
        "scale": np.array(1 / 128, np.float32),
        "zero": np.array(127, np.uint8),
        "weight": weight,
        "bias": bias,
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["pixels"]),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _channel_means(model, pixels):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["out"], {"image": pixels})[0].mean(axis=(0, 2, 3))


def test_rounded_weights_with_corrected_biases_keep_each_channels_mean():
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 256, (5, 8, 8, 3), np.uint8)
    weight = rng.normal(size=(6, 3, 1, 1)).astype(np.float32)
    weight[0, 0] = 40  # so coarse a step that the others of its channel are rounded away
    model = _one_convolution(weight, rng.normal(size=6).astype(np.float32))
    corrected = correct_biases(model, pixels)
    assert (_constants(corrected)["weight"] == weight).all()

    scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = (np.rint(weight / scale) * scale).astype(np.float32)
    wanted = _channel_means(model, pixels)
    as_served = _one_convolution(rounded, _constants(corrected)["bias"])
    assert _channel_means(as_served, pixels) == pytest.approx(wanted, abs=1e-5)


def test_a_channel_of_zeros_is_left_alone():
    model = _one_convolution(np.zeros((2, 3, 1, 1), np.float32), np.ones(2, np.float32))
    corrected = correct_biases(model, np.zeros((1, 8, 8, 3), np.uint8))
    assert _constants(corrected)["bias"].tolist() == [1, 1]
