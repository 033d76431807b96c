"""The precision of each kind of convolution."""

import copy

import pytest

torch = pytest.importorskip("torch")

from training.networks.efficientnet_lite import EfficientNetLite  # noqa: E402 - only with torch
from training.networks.efficientnet_lite_layers import Backbone, Stage  # noqa: E402
from training.torch_loop import precision  # noqa: E402
from training.torch_loop.device import Device  # noqa: E402

CPU = torch.device("cpu")
SIDE = 32
STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=8),
    Stage(repeats=2, kernel=5, stride=2, expansion=2, channels=16),
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return EfficientNetLite(Backbone(1.0, 1.0, SIDE, 0.2), 3, STAGES)


def _slow_when_depthwise(example, batch):
    return (2.0, 1.0) if precision.kind_of(example.conv).is_depthwise else (1.0, 2.0)


def test_kinds_that_are_slower_in_bfloat16_run_in_float32(network):
    line = precision.choose_precisions(
        network, SIDE, 4, Device(CPU, bf16=True), _slow_when_depthwise
    )
    assert "depthwise 5x5, stride 2 in float32 (2000 ms in bfloat16, 1000 in float32)" in line
    assert "pointwise in bfloat16" in line
    average = copy.deepcopy(network)  # as the moving average of the weights is made
    for each in (network, average):
        for block in each.blocks:
            assert isinstance(block.depthwise.conv, precision.Float32Conv2d)
            assert type(block.project.conv) is torch.nn.Conv2d
    types = {}
    for name in ("depthwise", "project"):
        conv = getattr(average.blocks[1], name).conv
        conv.register_forward_hook(lambda _, __, out, name=name: types.update({name: out.dtype}))
    with torch.autocast("cpu", torch.bfloat16):
        average(torch.zeros(2, 3, SIDE, SIDE)).sum().backward()
    assert types == {"depthwise": torch.float32, "project": torch.bfloat16}


def test_weights_keep_their_names(network):
    before = network.state_dict().keys()
    precision.choose_precisions(network, SIDE, 4, Device(CPU, bf16=True), _slow_when_depthwise)
    assert network.state_dict().keys() == before
    other = copy.deepcopy(network)
    names = precision.in_float32(network)
    precision.set_in_float32(other, names)  # as a resumed run does
    assert precision.in_float32(other) == names
    assert len(names) == 3


def test_the_largest_convolution_of_each_kind_is_measured(network):
    found = {str(kind): each for kind, each in precision.examples(network, SIDE).items()}
    assert found.keys() == {
        *("3x3, stride 2", "pointwise", "depthwise 3x3", "depthwise 5x5", "depthwise 5x5, stride 2")
    }
    assert found["depthwise 5x5"].shape == (1, 32, 8, 8)
    assert network.training


def test_an_example_is_timed_in_both_precisions(network):
    example = precision.examples(network, SIDE)[precision.Kind(True, 5, 1)]
    assert all(seconds > 0 for seconds in precision.measure_example(example, 1))


@pytest.mark.parametrize(
    "device", [Device(CPU, bf16=False), Device(torch.device("cuda"), bf16=True)]
)
def test_there_is_no_choice_without_bfloat16_or_on_a_gpu(network, device):
    def measure(example, batch):
        raise AssertionError("nothing is measured")

    assert precision.choose_precisions(network, SIDE, 4, device, measure) is None
