"""The weights of EfficientNet-Lite -> the self-contained ONNX graph of a bundle.

    planes -> stem -> blocks -> top = activation [N, 1280, h, w] -> mean = embedding [N, 1280]

The graph is built node by node from arrays, so it needs no torch. A tensor has its module's name
(`stem`, `blocks.0.depthwise`, `top`). Batch normalisation is folded in float64. SAME padding
becomes the padding of the convolutions, computed for this input size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from training.networks.efficientnet_lite_layers import (
    NORM_EPSILON,
    BlockShape,
    Weights,
    same_padding,
)
from training.onnx_graph.builder import GraphBuilder

Array = npt.NDArray[Any]


def export(weights: Weights, size: int, temperature: float = 1.0) -> onnx.ModelProto:
    """Return the graph of a network for inputs of `size` pixels, checked in full."""
    graph = GraphBuilder()
    lower = graph.constant("relu6.min", np.array(0, np.float32))
    upper = graph.constant("relu6.max", np.array(6, np.float32))
    tensor, side = graph.add_input(), size
    units = _UnitBuilder(graph, weights.tensors, lower, upper)
    tensor, side = units.add("stem", tensor, side, stride=2)
    for index, shape in enumerate(weights.blocks):
        tensor, side = _add_block(units, shape, f"blocks.{index}", tensor, side)
    tensor, side = units.add("top", tensor, side, output="activation")
    graph.pool()
    head = weights.tensors["head.weight"]
    graph.add_head(head, weights.tensors["head.bias"], temperature)
    classes, width = head.shape
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
    tensors: Mapping[str, Array]
    lower: str
    upper: str

    def add(
        self,
        name: str,
        tensor: str,
        side: int,
        *,
        stride: int = 1,
        relu6: bool = True,
        depthwise: bool = False,
        output: str = "",
    ) -> tuple[str, int]:
        """Add the unit `name`, and return the name and the side in pixels of its output."""
        weight, bias = self._folded(name)
        result = output or name
        convolved = self.graph.convolution(
            tensor,
            f"{name}.conv" if relu6 else result,
            weight,
            bias,
            layer=name,
            stride=stride,
            pads=same_padding(side, weight.shape[-1], stride),
            groups=len(weight) if depthwise else 1,
        )
        if relu6:
            inputs = [convolved, self.lower, self.upper]
            self.graph.node("Clip", inputs, result, name=f"{name}.relu6")
        return result, -(-side // stride)

    def _folded(self, unit: str) -> tuple[Array, Array]:
        norm = (
            self.tensors[f"{unit}.norm.{name}"]
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        return folded(self.tensors[f"{unit}.conv.weight"], *norm, epsilon=NORM_EPSILON)


def _add_block(
    units: _UnitBuilder, shape: BlockShape, name: str, tensor: str, side: int
) -> tuple[str, int]:
    x = tensor
    if shape.expansion > 1:
        x, side = units.add(f"{name}.expand", x, side)
    x, side = units.add(f"{name}.depthwise", x, side, stride=shape.stride, depthwise=True)
    x, side = units.add(f"{name}.project", x, side, relu6=False)
    if shape.has_residual:
        x = units.graph.node("Add", [tensor, x], name, name=f"{name}.add")
    return x, side


def folded(
    weight: Array, gain: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float
) -> tuple[Array, Array]:
    """Return weight and bias of the convolution that equals `weight`'s and the normalisation."""
    in_float64 = (array.astype(np.float64) for array in (weight, gain, bias, mean, variance))
    weight, gain, bias, mean, variance = in_float64
    gain = gain / np.sqrt(variance + epsilon)
    return weight * gain[:, None, None, None], bias - mean * gain
