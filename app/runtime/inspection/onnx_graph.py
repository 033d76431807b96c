"""An ONNX graph that can be queried: producers, consumers, constants and shapes of its tensors.

    ONNX file -> Graph -> producer, consumers, ancestors    the nodes around a tensor
                       -> constant                          the value of a weight, dequantised
                       -> shape                             inferred by onnx on first use

The graph has only the nodes on which one output depends. In an int8 file the value of a tensor is
the output of the DequantizeLinear that follows it.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

_QUANTIZED_INPUT = "_QuantizeLinear_Input"
"""The suffix of an output's name before quantisation, as ONNX Runtime's quantiser writes it."""
QUANTIZATION = frozenset({"QuantizeLinear", "DequantizeLinear"})
_FLOAT = 1
"""onnx.TensorProto.FLOAT, without importing onnx."""


class Graph:
    """The part of an ONNX graph on which one output depends.

    Args:
        model: the model; it isn't changed.
        output: the tensor whose ancestors are the graph's nodes.
    """

    def __init__(self, model: "onnx.ModelProto", output: str = "probabilities") -> None:
        self.model = model
        graph = model.graph
        self._producers = {out: node for node in graph.node for out in node.output if out}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = self.ancestors(output)
        self._consumers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self._consumers[name].append(node)
        self._from_image = self._depending_on_image()

    @classmethod
    def load(cls, path: Path) -> "Graph":
        """Read the ONNX file at `path`."""
        import onnx

        return cls(onnx.load(path))

    def ancestors(self, tensor: str) -> list["onnx.NodeProto"]:
        """Return the nodes that `tensor` is computed by, in the order in which they run."""
        ancestors, waiting = set(), [tensor]
        while waiting:
            node = self._producers.get(waiting.pop())
            if node is not None and id(node) not in ancestors:
                ancestors.add(id(node))
                waiting.extend(node.input)
        return [node for node in self.model.graph.node if id(node) in ancestors]

    def producer(self, tensor: str) -> "onnx.NodeProto | None":
        """Return the node that computes `tensor`, skipping quantisation on the way."""
        node = self._producers.get(tensor)
        while node is not None and node.op_type in QUANTIZATION:
            node = self._producers.get(node.input[0])
        return node

    def consumers(self, tensor: str) -> list["onnx.NodeProto"]:
        """Return the nodes that read `tensor`, skipping quantisation on the way."""
        consumers = []
        for node in self._consumers[tensor]:
            if node.op_type in QUANTIZATION:
                consumers.extend(self.consumers(node.output[0]))
            else:
                consumers.append(node)
        return consumers

    def depends_on_image(self, tensor: str) -> bool:
        """Return whether `tensor` differs from photo to photo."""
        return tensor in self._from_image

    def display_and_value_names(self, tensor: str) -> tuple[str, str]:
        """Return a tensor's display name, and the tensor that its consumers read."""
        for quantize in self._consumers[tensor]:
            if quantize.op_type == "QuantizeLinear":
                for dequantize in self._consumers[quantize.output[0]]:
                    if dequantize.op_type == "DequantizeLinear":
                        value: str = dequantize.output[0]
                        renamed = tensor.endswith(_QUANTIZED_INPUT)
                        return (value if renamed else tensor), value
        return tensor, tensor

    def shape(self, tensor: str) -> list[int | None] | None:
        """Return all dimensions, None for each that varies; None if the rank is unknown."""
        kind = self._types.get(tensor)
        if kind is None or not kind.HasField("shape"):
            return None
        return [dim.dim_value or None for dim in kind.shape.dim]

    def shape_without_batch(self, tensor: str) -> list[int] | None:
        """Return the dimensions of a float tensor but the first; None where they aren't fixed."""
        kind = self._types.get(tensor)
        if kind is None or kind.elem_type != _FLOAT:
            return None
        sizes = (self.shape(tensor) or [])[1:]
        fixed = [size for size in sizes if size is not None]
        return fixed if fixed and len(fixed) == len(sizes) else None

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """Return the value of a tensor that is the same for every photo.

        Weights may be plain, quantised (with a scale) or transposed. The result
        is None for a tensor that isn't constant, or that is computed in another way.
        """
        from onnx import TensorProto, numpy_helper

        if tensor in self._initializers:
            stored: NDArray[Any] = numpy_helper.to_array(self._initializers[tensor])
            return stored
        node = self._producers.get(tensor)
        if node is None or self.depends_on_image(tensor):
            return None
        if node.op_type == "Constant":
            value = attribute(node, "value")
            return numpy_helper.to_array(value) if isinstance(value, TensorProto) else None
        inputs = [array for name in node.input if (array := self.constant(name)) is not None]
        return _computed(node, inputs) if inputs and len(inputs) == len(node.input) else None

    @cached_property
    def _types(self) -> "dict[str, onnx.TypeProto.Tensor]":
        from onnx import shape_inference

        model = self.model
        with suppress(shape_inference.InferenceError):  # then the declared shapes remain
            model = shape_inference.infer_shapes(model)
        graph = model.graph
        values = [*graph.input, *graph.output, *graph.value_info]
        return {value.name: value.type.tensor_type for value in values}

    def _depending_on_image(self) -> set[str]:
        names = {value.name for value in self.model.graph.input} - self._initializers.keys()
        for node in self.nodes:
            if names.intersection(node.input):
                names.update(node.output)
        return names


def attribute(node: "onnx.NodeProto", name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute, or `default` where it has none."""
    from onnx import helper

    for candidate in node.attribute:
        if candidate.name == name:
            return helper.get_attribute_value(candidate)
    return default


def _computed(node: "onnx.NodeProto", inputs: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """Compute a node on constants; None for operators that exporters don't apply to weights."""
    if node.op_type == "Identity":
        return inputs[0]
    if node.op_type == "Transpose":
        return np.transpose(inputs[0], attribute(node, "perm"))
    if node.op_type == "DequantizeLinear":
        return _dequantized(inputs, attribute(node, "axis", 1))
    return None


def _dequantized(inputs: Sequence[NDArray[Any]], axis: int) -> NDArray[np.float32]:
    """Return (values - zero point) * scale; there is one scale, or one for each slice of `axis`."""
    values, scale = inputs[0].astype(np.float32), inputs[1].astype(np.float32)
    zero = inputs[2].astype(np.float32) if len(inputs) > 2 else np.zeros_like(scale)  # noqa: PLR2004
    if scale.ndim:
        along = [1] * values.ndim
        along[axis] = -1
        scale, zero = scale.reshape(along), zero.reshape(along)
    result: NDArray[np.float32] = (values - zero) * scale
    return result
