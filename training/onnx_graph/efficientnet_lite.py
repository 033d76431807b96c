"""EfficientNet-Lite in PyTorch -> the self-contained ONNX graph of a bundle.

    planes -> stem -> blocks -> top = activation [N, 1280, h, w] -> mean = embedding [N, 1280]

The graph is built node by node instead of being traced. A tensor has its module's name (`stem`,
`blocks.0.depthwise`, `top`). Batch normalisation is folded in float64. SAME padding becomes the
padding of the convolutions, computed for this input size.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from training.networks.efficientnet_lite import Block, ConvUnit, EfficientNetLite, same_padding
from training.onnx_graph.builder import GraphBuilder

Array = npt.NDArray[Any]


def export(network: EfficientNetLite, size: int, temperature: float = 1.0) -> onnx.ModelProto:
    """Return the graph of `network` for inputs of `size` pixels, checked in full."""
    graph = GraphBuilder()
    lower = graph.constant("relu6.min", np.array(0, np.float32))
    upper = graph.constant("relu6.max", np.array(6, np.float32))
    tensor, side = graph.add_input(), size
    units = _UnitBuilder(graph, lower, upper)
    tensor, side = units.add(network.stem, "stem", tensor, side)
    for index, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        tensor, side = _add_block(units, block, f"blocks.{index}", tensor, side)
    tensor, side = units.add(network.top, "top", tensor, side, output="activation")
    graph.pool()
    head = network.head
    graph.add_head(array(head.weight), array(head.bias), temperature)
    width, classes = head.in_features, head.out_features
    outputs = {
        "probabilities": (classes,),
        "embedding": (width,),
        "activation": (width, side, side),
    }
    return graph.model(size, outputs)


@dataclass(frozen=True)
class _UnitBuilder:
    """A builder of convolutions with folded batch normalisation, followed by ReLU6."""

    graph: GraphBuilder
    lower: str
    upper: str

    def add(
        self, unit: ConvUnit, name: str, tensor: str, side: int, output: str = ""
    ) -> tuple[str, int]:
        """Add `unit`, and return the name and the side in pixels of its output."""
        weight, bias = folded(unit.conv, unit.norm)
        result = output or name
        convolved = self.graph.convolution(
            tensor,
            f"{name}.conv" if unit.relu6 else result,
            weight,
            bias,
            layer=name,
            stride=unit.stride,
            pads=same_padding(side, unit.kernel, unit.stride),
            groups=unit.conv.groups,
        )
        if unit.relu6:
            inputs = [convolved, self.lower, self.upper]
            self.graph.node("Clip", inputs, result, name=f"{name}.relu6")
        return result, -(-side // unit.stride)


def _add_block(
    units: _UnitBuilder, block: Block, name: str, tensor: str, side: int
) -> tuple[str, int]:
    x = tensor
    if block.expand is not None:
        x, side = units.add(block.expand, f"{name}.expand", x, side)
    x, side = units.add(block.depthwise, f"{name}.depthwise", x, side)
    x, side = units.add(block.project, f"{name}.project", x, side)
    if block.residual:
        x = units.graph.node("Add", [tensor, x], name, name=f"{name}.add")
    return x, side


def folded(conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> tuple[Array, Array]:
    """Return weight and bias of the one convolution that equals `conv` followed by `norm`."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    weight = array(conv.weight) * gain[:, None, None, None]
    return weight, array(norm.bias) - array(norm.running_mean) * gain


def array(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    """Return a parameter in float64."""
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
