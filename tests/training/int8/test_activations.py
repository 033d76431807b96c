"""The input patches of a convolution, compared with the convolution itself."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.int8 import activations

SIDE = 9
SHAPES = {
    "1x1": ((6, 4, 1, 1), {}),
    "padded": ((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "odd side": ((6, 4, 3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
    "depthwise": ((4, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 4}),
    "groups": ((6, 2, 3, 3), {"group": 2}),
    "dilated": ((6, 4, 3, 3), {"dilations": [2, 2]}),
    "oblong": ((6, 4, 1, 5), {"pads": [0, 2, 0, 2]}),
    "same": ((6, 4, 4, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same, lower": ((6, 4, 4, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "larger than the map": ((6, 4, 11, 11), {"pads": [3, 3, 3, 3]}),
}


def _graph(shape, attributes):
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    conv = helper.make_node("Conv", ["image", "weight"], ["out"], **attributes)
    graph = helper.make_graph(
        [conv],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 4, SIDE, SIDE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "weight")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8), conv, weight


@pytest.mark.parametrize("case", SHAPES)
def test_patches_times_weights_equal_the_output_of_the_convolution(case):
    model, conv, weight = _graph(*SHAPES[case])
    planes = np.random.default_rng(1).normal(size=(4, SIDE, SIDE)).astype(np.float32)
    (out,) = ort.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run(None, {"image": planes[np.newaxis]})
    patches = activations.patches(
        planes, conv, np.array(weight.shape[2:]), np.random.default_rng(2)
    )
    groups = len(patches)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    products = patches @ rows.transpose(0, 2, 1)  # (G, P, O/G)
    products = products.transpose(1, 0, 2).reshape(products.shape[1], -1)
    places = out[0].reshape(len(weight), -1).T
    for product in products:
        assert np.abs(places - product).max(axis=1).min() < 1e-4


def test_moments_are_those_of_all_photos_and_the_same_each_time():
    model, conv, _ = _graph(*SHAPES["padded"])
    photos = np.random.default_rng(3).normal(3, 1, (5, 4, SIDE, SIDE)).astype(np.float32)
    first, again = (activations.moments(model, {"weight": conv}, photos) for _ in range(2))
    assert first["weight"].count == 5 * 10
    assert 1.5 < first["weight"].mean.mean() < 3  # zeros around the photos count
    assert (first["weight"].products == again["weight"].products).all()


def test_one_photo_is_enough_for_moments():
    model, conv, _ = _graph(*SHAPES["1x1"])
    photo = np.ones((1, 4, SIDE, SIDE), np.float32)
    assert activations.moments(model, {"weight": conv}, photo)["weight"].mean.tolist() == [[1] * 4]


def test_a_graph_without_convolutions_has_no_moments():
    assert activations.moments(onnx.ModelProto(), {}, np.zeros((1, 2, 2, 3), np.uint8)) == {}
