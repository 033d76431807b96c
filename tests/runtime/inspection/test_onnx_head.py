"""The matcher of pooled linear heads: the forms that it accepts, and those that it rejects."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from app.runtime.inspection.layers import read_structure
from app.runtime.inspection.onnx_graph import Graph
from app.runtime.inspection.onnx_head import pooled_head
from app.runtime.loaded_model import load_model

NODE = helper.make_node
WEIGHT = 0.7 * np.eye(3, 4) + np.arange(12).reshape(3, 4) / 100  # tells the colours apart
BIAS = np.array([0.1, 0.2, -0.05])
INT8 = np.array([[9, 1, -2, 3], [2, 8, 0, -1], [-3, 1, 7, 2]], np.int8)

RELU = NODE("Relu", ["c"], ["a"])
AVERAGE = NODE("GlobalAveragePool", ["a"], ["p"])
FLATTEN = NODE("Flatten", ["p"], ["v"])
GEMM = NODE("Gemm", ["v", "h", "b"], ["l"], transB=1)
SOFTMAX = NODE("Softmax", ["l"], ["probabilities"])
POOLED = [RELU, AVERAGE, FLATTEN]
PLAIN = {"h": WEIGHT, "b": BIAS}
TURNED = {"h": WEIGHT.T, "b": BIAS}

FORMS = [
    pytest.param([*POOLED, GEMM], PLAIN, id="Gemm, transB 1"),
    pytest.param([*POOLED, NODE("Gemm", ["v", "h", "b"], ["l"])], TURNED, id="Gemm, transB 0"),
    pytest.param(
        [*POOLED, NODE("Gemm", ["v", "h", "b"], ["l"], alpha=1.0, beta=1.0, transB=1)],
        PLAIN,
        id="Gemm, alpha and beta 1",
    ),
    pytest.param(
        [*POOLED, NODE("Gemm", ["v", "h"], ["m"], transB=1), NODE("Add", ["m", "b"], ["l"])],
        PLAIN,
        id="Gemm without bias, then Add",
    ),
    pytest.param(
        [*POOLED, NODE("Gemm", ["v", "h", "q"], ["m"], transB=1), NODE("Add", ["r", "m"], ["l"])],
        {"h": WEIGHT, "q": BIAS - 3, "r": [3.0]},
        id="Gemm with bias, then Add of a scalar",
    ),
    pytest.param(
        [*POOLED, NODE("MatMul", ["v", "h"], ["m"]), NODE("Add", ["m", "b"], ["l"])],
        TURNED,
        id="MatMul, bias second",
    ),
    pytest.param(
        [*POOLED, NODE("MatMul", ["v", "h"], ["m"]), NODE("Add", ["b", "m"], ["l"])],
        TURNED,
        id="MatMul, bias first",
    ),
    pytest.param(
        [
            *POOLED,
            NODE("Transpose", ["h"], ["t"], perm=[1, 0]),
            NODE("MatMul", ["v", "t"], ["m"]),
            NODE("Add", ["m", "b"], ["l"]),
        ],
        PLAIN,
        id="weight transposed in the graph",
    ),
    pytest.param(
        [
            *POOLED,
            NODE("Constant", [], ["h"], value=numpy_helper.from_array(np.float32(WEIGHT))),
            GEMM,
        ],
        {"b": BIAS},
        id="weight of a Constant node",
    ),
    pytest.param(
        [RELU, AVERAGE, NODE("Reshape", ["p", "s"], ["v"]), GEMM],
        PLAIN | {"s": np.array([0, 4])},
        id="Reshape",
    ),
    pytest.param(
        [RELU, AVERAGE, NODE("Squeeze", ["p", "s"], ["v"]), GEMM],
        PLAIN | {"s": np.array([2, 3])},
        id="Squeeze",
    ),
    pytest.param(
        [
            RELU,
            AVERAGE,
            NODE("Flatten", ["p"], ["f"]),
            NODE("Dropout", ["f"], ["d"]),
            NODE("Identity", ["d"], ["v"]),
            GEMM,
        ],
        PLAIN,
        id="Dropout and Identity",
    ),
    pytest.param(
        [RELU, NODE("ReduceMean", ["a"], ["v"], axes=[-1, -2], keepdims=0), GEMM],
        PLAIN,
        id="ReduceMean",
    ),
    pytest.param(
        [
            RELU,
            NODE("Transpose", ["a"], ["y"], perm=[0, 2, 3, 1]),
            NODE("ReduceMean", ["y"], ["v"], axes=[1, 2], keepdims=0),
            GEMM,
        ],
        PLAIN,
        id="channels last",
    ),
    pytest.param(
        [
            *POOLED,
            NODE("Gemm", ["v", "h", "b"], ["s"], transB=1),
            NODE("Div", ["s", "t"], ["l"]),
        ],
        PLAIN | {"t": 2.0},
        id="divided by the temperature",
    ),
    pytest.param(
        [
            *POOLED,
            NODE("Gemm", ["v", "h", "b"], ["s"], transB=1),
            NODE("Mul", ["t", "s"], ["l"]),
        ],
        PLAIN | {"t": [0.5]},
        id="multiplied by the inverse temperature, which comes first",
    ),
    pytest.param(
        [
            *POOLED,
            NODE("Gemm", ["v", "h", "b"], ["s"], transB=1),
            NODE("Identity", ["s"], ["i"]),
            NODE("Div", ["i", "t"], ["l"]),
        ],
        PLAIN | {"t": 2.0},
        id="Identity before the division",
    ),
    pytest.param(
        [
            RELU,
            NODE("ReduceMean", ["a"], ["v"], axes=[2, 3], keepdims=0),
            NODE("MatMul", ["v", "h"], ["m"]),
            NODE("Add", ["b", "m"], ["s"]),
            NODE("Div", ["s", "t"], ["l"]),
        ],
        TURNED | {"t": 2.0},
        id="mean, MatMul, bias first, temperature",
    ),
    pytest.param(
        [*POOLED, NODE("DequantizeLinear", ["q", "scale", "zero"], ["h"], axis=0), GEMM],
        {"q": INT8, "scale": [0.1, 0.2, 0.3], "zero": np.zeros(3, np.int8), "b": BIAS},
        id="int8 weight",
    ),
]


def has_int8_weight(constants):
    return "scale" in constants


def expected_weight(constants):
    if has_int8_weight(constants):
        return INT8 * np.array([[0.1], [0.2], [0.3]])
    return WEIGHT


@pytest.mark.parametrize(("nodes", "constants"), FORMS)
def test_a_pooled_linear_head_is_matched_in_every_form(convolutional, nodes, constants):
    model = convolutional([*nodes, SOFTMAX], constants)
    head = pooled_head(Graph(model))
    np.testing.assert_allclose(head.weight, expected_weight(constants), rtol=1e-6)
    np.testing.assert_allclose(head.bias, BIAS, atol=1e-6)
    assert (head.activation, head.channels_last) in {("a", False), ("y", True)}
    assert head.temperature == (2.0 if "t" in constants else 1.0)
    assert head.is_exact == (not has_int8_weight(constants))


@pytest.mark.parametrize(("nodes", "constants"), FORMS)
def test_the_head_of_named_logits_is_the_head_of_the_probabilities(convolutional, nodes, constants):
    """The graph of an import may end with the logits."""
    model = convolutional([*nodes, SOFTMAX], constants)
    served, imported = pooled_head(Graph(model)), pooled_head(Graph(model, "l"), "l")
    np.testing.assert_array_equal(served.weight, imported.weight)
    np.testing.assert_array_equal(served.bias, imported.bias)
    for name in ("activation", "channels_last", "embedding", "temperature", "is_exact"):
        assert getattr(served, name) == getattr(imported, name)


@pytest.mark.parametrize(("nodes", "constants"), FORMS)
def test_the_maps_of_a_matched_head_add_up_to_the_probabilities(
    inspector, make_bundle, photo, convolutional, nodes, constants
):
    bundle = make_bundle(graph=convolutional([*nodes, SOFTMAX], constants))
    model = load_model(bundle.folder, "cpu")
    explanations = [inspector.explain(photo("red"), model, label) for label in range(3)]
    assert {each.method for each in explanations} == {"class_activation_map"}
    assert {each.map.shape for each in explanations} == {(30, 30)}
    logits = np.array([each.map.mean() + each.bias for each in explanations])
    powers = np.exp(logits / explanations[0].temperature)
    assert powers / powers.sum() == pytest.approx(explanations[0].probabilities, abs=1e-4)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        pytest.param(
            [NODE("GlobalMaxPool", ["c"], ["p"]), FLATTEN, GEMM, SOFTMAX],
            PLAIN,
            id="the maximum instead of the mean",
        ),
        pytest.param(
            [
                *POOLED,
                NODE("Gemm", ["v", "h", "b"], ["g"], transB=1),
                NODE("Relu", ["g"], ["l"]),
                SOFTMAX,
            ],
            PLAIN,
            id="a nonlinearity between the linear layer and the softmax",
        ),
        pytest.param(
            [*POOLED, GEMM, NODE("Tanh", ["l"], ["probabilities"])], PLAIN, id="no softmax"
        ),
        pytest.param(
            [*POOLED, NODE("Gemm", ["v", "h", "b"], ["l"], transB=1, alpha=2.0), SOFTMAX],
            PLAIN,
            id="Gemm, alpha 2",
        ),
        pytest.param(
            [*POOLED, NODE("Gemm", ["v", "h", "b"], ["l"], transB=1, beta=0.5), SOFTMAX],
            PLAIN,
            id="Gemm, beta 0.5",
        ),
        pytest.param(
            [
                *POOLED,
                NODE("Gemm", ["v", "k"], ["varying"], transB=1),
                NODE("Gemm", ["v", "h", "varying"], ["l"], transB=1),
                SOFTMAX,
            ],
            PLAIN | {"k": WEIGHT},
            id="a bias that differs from photo to photo",
        ),
    ],
)
def test_other_heads_are_not_matched(convolutional, nodes, constants):
    assert pooled_head(Graph(convolutional(nodes, constants))) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_another_float_type_are_matched_and_are_not_exact(convolutional, dtype):
    model = convolutional([*POOLED, GEMM, SOFTMAX], PLAIN)
    for tensor in model.graph.initializer:
        if tensor.name in PLAIN:
            value = numpy_helper.to_array(tensor).astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    head = pooled_head(Graph(model))
    assert (head.weight.dtype, head.is_exact) == (np.float32, False)
    np.testing.assert_allclose(head.weight, WEIGHT, rtol=1e-3)


def test_a_head_that_rounds_its_embedding_is_matched_and_is_not_exact(convolutional):
    nodes = [
        RELU,
        AVERAGE,
        NODE("Flatten", ["p"], ["f"]),
        NODE("QuantizeLinear", ["f", "scale", "zero"], ["q"]),
        NODE("DequantizeLinear", ["q", "scale", "zero"], ["v"]),
        GEMM,
        SOFTMAX,
    ]
    constants = PLAIN | {"scale": 0.01, "zero": np.uint8(0)}
    head = pooled_head(Graph(convolutional(nodes, constants)))
    assert (head.activation, head.is_exact) == ("a", False)


def test_rounding_before_the_activation_leaves_the_head_exact(convolutional):
    nodes = [
        NODE("Relu", ["c"], ["r"]),
        NODE("QuantizeLinear", ["r", "scale", "zero"], ["q"]),
        NODE("DequantizeLinear", ["q", "scale", "zero"], ["a"]),
        AVERAGE,
        FLATTEN,
        GEMM,
        SOFTMAX,
    ]
    constants = PLAIN | {"scale": 0.01, "zero": np.uint8(0)}
    head = pooled_head(Graph(convolutional(nodes, constants)))
    assert (head.activation, head.is_exact) == ("a", True)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_head_of_the_default_model_pools_its_output_activation(imagenet, precision):
    file = imagenet / {"fp32": "model.onnx", "int8": "model.int8.onnx"}[precision]
    head = read_structure(file).head
    assert (head.activation, head.embedding, head.is_exact) == ("activation", "embedding", True)


def test_the_pixels_themselves_are_no_feature_map(tmp_path, graph):
    onnx.save(graph(), tmp_path / "model.onnx")
    assert pooled_head(Graph.load(tmp_path / "model.onnx")).channels_last
    assert read_structure(tmp_path / "model.onnx").head is None
