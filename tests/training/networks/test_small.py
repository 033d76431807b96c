"""The networks that are trained from random weights, and their graphs."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import shape_inference

torch = pytest.importorskip("torch")

from app.runtime.session import Session  # noqa: E402 - only with torch
from training.calibration import softmax  # noqa: E402
from training.errors import DataUnusable  # noqa: E402
from training.int8.quantize import quantize  # noqa: E402
from training.networks.inference import normalize, predict_logits  # noqa: E402
from training.networks.small import MIN_SIZE, Fast, Textbook  # noqa: E402
from training.onnx_graph.small import export  # noqa: E402
from training.recipes.scratch import ScratchRecipe  # noqa: E402

CLASSES = 4


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)


def _network(name, size, pixels):
    torch.manual_seed(0)
    network = Textbook(CLASSES, size) if name == "textbook" else Fast(CLASSES)
    if name == "fast":
        network.whiten(normalize(torch.from_numpy(pixels)))
        torch.nn.init.normal_(network.head.weight, std=0.1)
        network.train()(normalize(torch.from_numpy(pixels)))  # statistics of its own
    return network.eval()


def _shapes(model):
    inferred = shape_inference.infer_shapes(model, strict_mode=True)
    return {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim[1:])
        for value in inferred.graph.value_info
    }


def test_textbook_has_the_shapes_of_its_docstring(pixels):
    network = _network("textbook", 32, pixels)
    shapes = _shapes(export(network, 32))
    assert shapes["planes"] == (3, 32, 32)
    assert shapes["conv1"] == (32, 28, 28)
    assert shapes["conv1.pool"] == (32, 14, 14)
    assert shapes["conv2"] == (64, 10, 10)
    assert shapes["conv2.pool"] == (64, 5, 5)
    # 28 x 28 = 784 positions, at each of which a filter of 5 x 5 x 3 multiplies 75 times
    weight = network.units["conv1"].conv.weight
    assert (shapes["conv1"][1] * shapes["conv1"][2], weight[0].numel()) == (784, 75)
    assert network.head.in_features == 64 * 5 * 5


def test_a_filter_is_a_sum_of_products_at_each_position(pixels):
    conv = _network("textbook", 32, pixels).units["conv1"].conv
    image = normalize(torch.from_numpy(pixels[:1]))
    patch = image[0, :, 7:12, 20:25]
    expected = (patch * conv.weight[3]).sum() + conv.bias[3]
    assert conv(image)[0, 3, 7, 20].item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", ["textbook", "fast"])
@pytest.mark.parametrize("size", [32, 45])
def test_the_graph_gives_what_pytorch_gives(name, size, pixels, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (3, size, size, 3), np.uint8)
    network = _network(name, size, pixels)
    onnx.save(export(network, size, 0.7), tmp_path / "model.onnx")
    actual = Session(tmp_path / "model.onnx", "cpu", "fp32").run(pixels)
    assert actual == pytest.approx(softmax(predict_logits(network, pixels) / 0.7), abs=1e-5)


@pytest.mark.parametrize("name", ["textbook", "fast"])
def test_the_smallest_size_works_and_a_smaller_one_does_not(name):
    smallest = MIN_SIZE[name]
    images = torch.zeros(2, 3, smallest, smallest)
    network = Textbook(CLASSES, smallest) if name == "textbook" else Fast(CLASSES)
    assert network(images).shape == (2, CLASSES)
    with pytest.raises(DataUnusable, match=f"--size {smallest - 1} is too small for {name}"):
        ScratchRecipe(name, smallest - 1)
    with torch.no_grad(), pytest.raises((RuntimeError, UserWarning)):
        _run(name, smallest - 1)


def _run(name, size):
    network = Textbook(CLASSES, size) if name == "textbook" else Fast(CLASSES)
    return network(torch.zeros(2, 3, size, size))


def test_whitened_patches_do_not_correlate(pixels):
    network = Fast(CLASSES)
    smooth = np.repeat(np.repeat(pixels[:, ::4, ::4], 4, axis=1), 4, axis=2)
    images = normalize(torch.from_numpy(smooth))
    network.whiten(images)
    filtered = network.units["whitening"].conv(images)[:, :12].transpose(0, 1).flatten(1)
    covariance = torch.cov(filtered)
    strong = covariance.diagonal() > 0.5
    correlations = torch.corrcoef(filtered[strong])
    assert strong.sum() >= 4
    assert (correlations - torch.eye(len(correlations))).abs().max() < 0.05


def test_class_activation_maps_of_fast_average_to_its_logits(pixels, tmp_path):
    network = _network("fast", 32, pixels)
    session = ort.InferenceSession(
        export(network, 32).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    maps, probabilities = session.run(["activation", "probabilities"], {"image": pixels})
    assert maps.shape == (6, 256, 3, 3)
    head = network.head.weight.detach().numpy()
    by_class = np.einsum("kd,ndhw->nkhw", head, maps)
    logits = by_class.mean(axis=(2, 3)) + network.head.bias.detach().numpy()
    assert softmax(logits) == pytest.approx(probabilities, abs=1e-5)


@pytest.mark.parametrize("name", ["textbook", "fast"])
def test_int8_stays_near_fp32(name, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(Fast, "CHANNELS", (32, 64, 64))  # a quarter of the width: as deep, faster
    onnx.save(export(_network(name, 32, pixels), 32), tmp_path / "fp32.onnx")
    quantize(tmp_path / "fp32.onnx", pixels, tmp_path / "int8.onnx")
    fp32, int8 = (
        Session(tmp_path / f"{precision}.onnx", "cpu", precision).run(pixels)
        for precision in ("fp32", "int8")
    )
    assert np.abs(fp32 - int8).max() < 0.05
