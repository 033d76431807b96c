"""The self-contained ONNX graph of a bundle, built node by node.

    image uint8 [N, S, S, 3] -> DequantizeLinear, Transpose -> the network's layers
        -> embedding [N, D] -> head -> divided by the temperature -> softmax -> probabilities [N, K]

The network's layers lie between `add_input` and `add_head`: onnx_graph.efficientnet_lite adds those
of EfficientNet-Lite, onnx_graph.small those of the networks that are trained from scratch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.networks.normalization import PIXEL_OFFSET, PIXEL_SCALE

OPSET = 17
IR_VERSION = 8
"""The versions of ONNX 1.12, which every ONNX Runtime since 2022 reads; no newer is needed."""
_AXES_AS_INPUT = 18
"""From this opset on, the axes of a reduction are an input instead of an attribute."""

Array = npt.NDArray[Any]


@dataclass
class GraphBuilder:
    """A graph under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    opset: int = OPSET
    """The version of ONNX's operators that the graph uses."""

    @property
    def names(self) -> set[str]:
        """The names of the tensors that the nodes compute, and of the constants."""
        outputs = {name for node in self.nodes for name in node.output}
        return outputs | {tensor.name for tensor in self.initializers}

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer and return its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(
        self, op: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any
    ) -> str:
        """Add a node, named after its only output unless `name` is set, and return that output."""
        self.nodes.append(helper.make_node(op, inputs, [output], name or output, **attributes))
        return output

    def add_input(self) -> str:
        """Add uint8 [N, S, S, 3] -> (pixel - 127) / 128 as float [N, 3, S, S]."""
        scale = self.constant("pixels.scale", np.array(1 / PIXEL_SCALE, np.float32))
        offset = self.constant("pixels.offset", np.array(PIXEL_OFFSET, np.uint8))
        self.node("DequantizeLinear", ["image", scale, offset], "pixels")
        return self.node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2])

    def convolution(
        self,
        tensor: str,
        output: str,
        weight: Array,
        bias: Array,
        *,
        layer: str,
        stride: int = 1,
        pads: tuple[int, int] = (0, 0),
        groups: int = 1,
    ) -> str:
        """Add a square convolution with the same padding of both axes, and return its output.

        Args:
            tensor: the input.
            output: the name of the output.
            weight: (O, I, k, k).
            bias: (O,).
            layer: the prefix of the names of node and constants.
            stride: of both axes.
            pads: zeros before and after each axis.
            groups: the number of groups of channels.
        """
        kernel = weight.shape[-1]
        constants = [
            self.constant(f"{layer}.weight", weight.astype(np.float32)),
            self.constant(f"{layer}.bias", bias.astype(np.float32)),
        ]
        return self.node(
            "Conv",
            [tensor, *constants],
            output,
            name=f"{layer}.conv",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pads[0], pads[0], pads[1], pads[1]],
            group=groups,
        )

    def reduce(self, op: str, tensor: str, output: str, *, name: str, keepdims: int) -> str:
        """Add a reduction over the second axis, and return its output."""
        if self.opset < _AXES_AS_INPUT:
            return self.node(op, [tensor], output, name, axes=[1], keepdims=keepdims)
        axes = self.constant(f"{name}.axes", np.array([1], np.int64))
        return self.node(op, [tensor, axes], output, name, keepdims=keepdims)

    def pool(self) -> str:
        """Add the mean over the last feature map's positions: activation -> embedding."""
        return self.node(
            "ReduceMean", ["activation"], "embedding", name="pool", axes=[2, 3], keepdims=0
        )

    def add_head(
        self, weight: Array, bias: Array, temperature: float, *, sigmoid: bool = False
    ) -> None:
        """Add head, temperature and softmax, in float: embedding [N, D] -> probabilities [N, K].

        Args:
            weight: (K, D), of the last layer.
            bias: (K,).
            temperature: the divisor of the logits.
            sigmoid: whether a sigmoid for each label stands in place of the softmax.
        """
        constants = [
            self.constant("head.weight", weight.astype(np.float32)),
            self.constant("head.bias", bias.astype(np.float32)),
        ]
        divisor = self.constant("temperature", np.array(temperature, np.float32))
        self.node("Gemm", ["embedding", *constants], "logits", name="head", transB=1)
        self.node("Div", ["logits", divisor], "calibrated_logits", name="calibrate")
        if sigmoid:
            self.node("Sigmoid", ["calibrated_logits"], "probabilities", name="sigmoid")
        else:
            self.node("Softmax", ["calibrated_logits"], "probabilities", name="softmax", axis=-1)

    def model(self, size: int, outputs: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
        """Return the finished model, checked in full.

        Args:
            size: side of the input, in pixels.
            outputs: by name, the shape of the output for one image; all are float.
        """
        proto = helper.make_graph(
            self.nodes,
            "classifier",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
                for name, shape in outputs.items()
            ],
            self.initializers,
        )
        model = helper.make_model(
            proto,
            producer_name="hubel",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return model
