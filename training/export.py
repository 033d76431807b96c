"""A network in PyTorch -> the self-contained ONNX graph of a bundle.

    image uint8 [N, S, S, 3] -> DequantizeLinear, Transpose -> the network's layers
        -> activation [N, D, h, w] -> mean -> embedding [N, D]
        -> head -> divided by the temperature -> softmax -> probabilities [N, K]

The graph is built node by node instead of traced: a tensor is called what its module is called
(`stem`, `blocks.0.depthwise`, `top`), batch normalisation is folded in float64, and SAME padding
becomes the padding of the convolutions, exact for this input size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from training.networks import Block, ConvUnit, EfficientNetLite, same_padding
from training.normalization import PIXEL_OFFSET, PIXEL_SCALE

OPSET = 17
IR_VERSION = 8
"""ONNX 1.12's pair: read by every ONNX Runtime since 2022, and no later operator is needed."""

Array = npt.NDArray[Any]


@dataclass
class _Graph:
    """What has been built so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer; the answer is its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(
        self, op: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any
    ) -> str:
        """Add a node called as its only output, unless `name` says otherwise."""
        self.nodes.append(helper.make_node(op, inputs, [output], name or output, **attributes))
        return output


def export(network: EfficientNetLite, size: int, temperature: float = 1.0) -> onnx.ModelProto:
    """The graph of `network` for inputs of `size` pixels; checked in full."""
    graph = _Graph()
    lower = graph.constant("relu6.min", np.array(0, np.float32))
    upper = graph.constant("relu6.max", np.array(6, np.float32))
    tensor, side = _prologue(graph), size
    units = _Units(graph, lower, upper)
    tensor, side = units.add(network.stem, "stem", tensor, side)
    for index, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        tensor, side = _add_block(units, block, f"blocks.{index}", tensor, side)
    tensor, side = units.add(network.top, "top", tensor, side, output="activation")
    _epilogue(graph, network.head, temperature)
    return _checked_model(graph, network.head, size, side)


def _prologue(graph: _Graph) -> str:
    """uint8 [N, S, S, 3] -> (pixel - 127) / 128 as float [N, 3, S, S]."""
    scale = graph.constant("pixels.scale", np.array(1 / PIXEL_SCALE, np.float32))
    offset = graph.constant("pixels.offset", np.array(PIXEL_OFFSET, np.uint8))
    graph.node("DequantizeLinear", ["image", scale, offset], "pixels")
    return graph.node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2])


@dataclass(frozen=True)
class _Units:
    """Adds convolutions, with the batch normalisation folded in and the ReLU6 behind."""

    graph: _Graph
    lower: str
    upper: str

    def add(
        self, unit: ConvUnit, name: str, tensor: str, side: int, output: str = ""
    ) -> tuple[str, int]:
        """The name and the side in pixels of what `unit` makes of `tensor`."""
        weight, bias = _folded(unit)
        before, after = same_padding(side, unit.kernel, unit.stride)
        result = output or name
        convolved = self.graph.node(
            "Conv",
            [
                tensor,
                self.graph.constant(f"{name}.weight", weight),
                self.graph.constant(f"{name}.bias", bias),
            ],
            f"{name}.conv" if unit.relu6 else result,
            name=f"{name}.conv",
            kernel_shape=[unit.kernel, unit.kernel],
            strides=[unit.stride, unit.stride],
            pads=[before, before, after, after],
            group=unit.conv.groups,
        )
        if unit.relu6:
            inputs = [convolved, self.lower, self.upper]
            self.graph.node("Clip", inputs, result, name=f"{name}.relu6")
        return result, -(-side // unit.stride)


def _add_block(units: _Units, block: Block, name: str, tensor: str, side: int) -> tuple[str, int]:
    x = tensor
    if block.expand is not None:
        x, side = units.add(block.expand, f"{name}.expand", x, side)
    x, side = units.add(block.depthwise, f"{name}.depthwise", x, side)
    x, side = units.add(block.project, f"{name}.project", x, side)
    if block.residual:
        x = units.graph.node("Add", [tensor, x], name, name=f"{name}.add")
    return x, side


def _epilogue(graph: _Graph, head: torch.nn.Linear, temperature: float) -> None:
    """The last feature map -> embedding -> calibrated probabilities, all of it float."""
    weight = graph.constant("head.weight", _array(head.weight).astype(np.float32))
    bias = graph.constant("head.bias", _array(head.bias).astype(np.float32))
    divisor = graph.constant("temperature", np.array(temperature, np.float32))
    graph.node("ReduceMean", ["activation"], "embedding", name="pool", axes=[2, 3], keepdims=0)
    graph.node("Gemm", ["embedding", weight, bias], "logits", name="head", transB=1)
    graph.node("Div", ["logits", divisor], "calibrated_logits", name="calibrate")
    graph.node("Softmax", ["calibrated_logits"], "probabilities", name="softmax", axis=-1)


def _checked_model(graph: _Graph, head: torch.nn.Linear, size: int, side: int) -> onnx.ModelProto:
    width, classes = head.in_features, head.out_features
    floats = TensorProto.FLOAT
    proto = helper.make_graph(
        graph.nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [
            helper.make_tensor_value_info("probabilities", floats, ["N", classes]),
            helper.make_tensor_value_info("embedding", floats, ["N", width]),
            helper.make_tensor_value_info("activation", floats, ["N", width, side, side]),
        ],
        graph.initializers,
    )
    model = helper.make_model(
        proto,
        producer_name="hubel",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _folded(unit: ConvUnit) -> tuple[Array, Array]:
    """Weight and bias of the convolution that does what `unit` does before its ReLU6."""
    norm = unit.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    weight = _array(unit.conv.weight) * gain[:, None, None, None]
    bias = _array(norm.bias) - _array(norm.running_mean) * gain
    return weight.astype(np.float32), bias.astype(np.float32)


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(tensor.detach().numpy(), np.float64)
