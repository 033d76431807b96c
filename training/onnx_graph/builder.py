"""The self-contained ONNX graph of a bundle, built node by node.

    image uint8 [N, S, S, 3] -> DequantizeLinear, Transpose -> the network's layers
        -> embedding [N, D] -> head -> divided by the temperature -> softmax -> probabilities [N, K]

What lies between `prologue` and `epilogue` is the network's own: onnx_graph.efficientnet_lite for
EfficientNet-Lite, onnx_graph.small for the networks that are trained from nothing.
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
"""ONNX 1.12's pair: read by every ONNX Runtime since 2022, and no later operator is needed."""

Array = npt.NDArray[Any]


@dataclass
class Graph:
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

    def prologue(self) -> str:
        """uint8 [N, S, S, 3] -> (pixel - 127) / 128 as float [N, 3, S, S]."""
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
        """A square convolution with as many zeros before and after each axis.

        Args:
            tensor: what it reads.
            output: what it makes.
            weight: (O, I, k, k).
            bias: (O,).
            layer: what node and constants are called after.
            stride: of both axes.
            pads: zeros before and after each axis.
            groups: of channels that don't see one another.
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

    def pool(self) -> str:
        """The mean over the last feature map's positions: activation -> embedding."""
        return self.node(
            "ReduceMean", ["activation"], "embedding", name="pool", axes=[2, 3], keepdims=0
        )

    def epilogue(self, weight: Array, bias: Array, temperature: float) -> None:
        """The embedding [N, D] -> calibrated probabilities [N, K], all of it float.

        Args:
            weight: of the last layer, (K, D).
            bias: (K,).
            temperature: that the logits are divided by.
        """
        constants = [
            self.constant("head.weight", weight.astype(np.float32)),
            self.constant("head.bias", bias.astype(np.float32)),
        ]
        divisor = self.constant("temperature", np.array(temperature, np.float32))
        self.node("Gemm", ["embedding", *constants], "logits", name="head", transB=1)
        self.node("Div", ["logits", divisor], "calibrated_logits", name="calibrate")
        self.node("Softmax", ["calibrated_logits"], "probabilities", name="softmax", axis=-1)

    def model(self, size: int, outputs: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
        """The finished model, checked in full.

        Args:
            size: side of the input, in pixels.
            outputs: by name, the shape of one image's; all float.
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
