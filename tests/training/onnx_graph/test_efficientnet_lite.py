"""The graph of a tiny EfficientNet-Lite, with PyTorch as the reference."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch")

from app.runtime.session import Session  # noqa: E402 - only with torch
from training.calibration import softmax  # noqa: E402
from training.errors import GateMissed  # noqa: E402
from training.gates import check_parity, probabilities_of  # noqa: E402
from training.int8.quantize import quantize  # noqa: E402
from training.networks.efficientnet_lite import EfficientNetLite  # noqa: E402
from training.networks.efficientnet_lite_layers import Backbone, Stage  # noqa: E402
from training.networks.inference import predict_logits  # noqa: E402
from training.onnx_graph.efficientnet_lite import export  # noqa: E402

SIZE = 33  # odd, so that every stride pads both sides
CLASSES = 5
TEMPERATURE = 0.8
STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=8),
    Stage(repeats=2, kernel=5, stride=2, expansion=2, channels=16),
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = EfficientNetLite(Backbone(1.0, 1.0, SIZE, 0.2), CLASSES, STAGES)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.05, 0.2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(network, pixels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    onnx.save(export(network.weights(), SIZE, TEMPERATURE), folder / "fp32.onnx")
    quantize(folder / "fp32.onnx", pixels, folder / "int8.onnx")
    return folder


@pytest.fixture(params=["fp32", "int8"])
def graph(request, folder):
    return folder / f"{request.param}.onnx"


def _run(graph, pixels):
    session = Session(graph, "cpu", graph.stem)
    return dict(zip(session.outputs, session.outputs_of([*session.outputs], pixels), strict=True))


def _dimensions(value):
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_inputs_and_outputs_are_those_of_every_bundle(graph):
    proto = onnx.load(graph).graph
    assert {value.name: _dimensions(value) for value in proto.input} == {
        "image": ["N", SIZE, SIZE, 3]
    }
    assert {value.name: _dimensions(value) for value in proto.output} == {
        "probabilities": ["N", CLASSES],
        "embedding": ["N", 1280],
        "activation": ["N", 1280, 9, 9],
    }
    assert proto.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_pixels_are_dequantised_exactly(graph):
    proto = onnx.load(graph).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.initializer}
    (first,) = [node for node in proto.node if "image" in node.input]
    assert first.op_type == "DequantizeLinear"
    scale, zero_point = (constants[name] for name in first.input[1:])
    assert (scale, zero_point, zero_point.dtype) == (1 / 128, 127, np.uint8)


def test_the_head_is_float_and_named(graph, network):
    constants = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(graph).graph.initializer
    }
    assert (constants["head.weight"] == network.head.weight.detach().numpy()).all()
    assert (constants["head.bias"] == network.head.bias.detach().numpy()).all()
    assert constants["temperature"] == np.float32(TEMPERATURE)


def test_layers_have_the_names_of_their_modules(folder):
    names = {node.name for node in onnx.load(folder / "fp32.onnx").graph.node}
    assert {"stem.conv", "blocks.0.depthwise.conv", "blocks.1.expand.relu6", "blocks.2.add"} < names


def test_an_image_alone_has_the_probabilities_that_it_has_in_a_batch(graph, pixels):
    together = _run(graph, pixels)["probabilities"]
    alone = np.concatenate([_run(graph, image[None])["probabilities"] for image in pixels[:3]])
    assert together[:3] == pytest.approx(alone, abs=1e-6)
    assert together.sum(axis=1) == pytest.approx(np.ones(len(pixels)), abs=1e-6)


def test_class_activation_maps_add_up_to_the_probabilities(graph, network, pixels):
    actual = _run(graph, pixels)
    weight, bias = (part.detach().numpy() for part in (network.head.weight, network.head.bias))
    maps = np.einsum("ndhw,kd->nkhw", actual["activation"], weight)
    logits = maps.mean(axis=(2, 3)) + bias
    assert softmax(logits / TEMPERATURE) == pytest.approx(actual["probabilities"], abs=1e-5)
    assert actual["activation"].mean(axis=(2, 3)) == pytest.approx(actual["embedding"], abs=1e-5)


def test_onnx_runtime_agrees_with_pytorch(network, folder, pixels):
    expected = softmax(predict_logits(network, pixels) / TEMPERATURE)
    actual = probabilities_of(Session(folder / "fp32.onnx", "cpu", "fp32"), pixels)
    assert check_parity(expected, actual) < 1e-5


def test_a_changed_weight_misses_the_parity_gate(network, pixels, tmp_path):
    model = export(network.weights(), SIZE, TEMPERATURE)
    (bias,) = [
        tensor for tensor in model.graph.initializer if tensor.name == "blocks.0.project.bias"
    ]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 0.5, bias.name))
    onnx.save(model, tmp_path / "broken.onnx")
    actual = probabilities_of(Session(tmp_path / "broken.onnx", "cpu", "fp32"), pixels)
    with pytest.raises(GateMissed, match="differs from PyTorch"):
        check_parity(softmax(predict_logits(network, pixels) / TEMPERATURE), actual)


def test_nan_misses_the_parity_gate():
    with pytest.raises(GateMissed):
        check_parity(np.ones((1, 2)), np.full((1, 2), np.nan))


def test_int8_stays_near_fp32(folder, pixels):
    expected, actual = (_run(folder / f"{which}.onnx", pixels) for which in ("fp32", "int8"))
    assert np.abs(expected["probabilities"] - actual["probabilities"]).max() < 0.05
    drift = (actual["embedding"] - expected["embedding"]).mean()
    assert abs(drift) < 0.01 * expected["embedding"].mean()


def test_onnx_runtime_computes_int8_in_integers(folder, tmp_path):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(folder / "int8.onnx", options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    kinds = [node.op_type for node in nodes]
    assert "Conv" not in kinds
    assert "FusedConv" not in kinds
    assert "QuantizeLinear" not in kinds, "nothing is rounded between two integer layers"
    (first,) = [node for node in nodes if "image" in node.input]
    assert first.op_type in {"QLinearConv", "Transpose"}, "pixels are read as they are"
