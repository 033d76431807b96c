"""An ONNX file, read: what makes what, what is constant, and of which shape.

Only the nodes that lead to `probabilities` count. In an int8 file a tensor's value is what comes
out of the DequantizeLinear behind it.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

_QUANTIZED_INPUT = "_QuantizeLinear_Input"
"""What ONNX Runtime's quantizer puts behind the name of an output before it is quantised."""


class Graph:
    """The graph of an ONNX file, with questions that can be asked of it.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        import onnx

        self.model: onnx.ModelProto = onnx.shape_inference.infer_shapes(onnx.load(path))
        graph = self.model.graph
        self._producers = {out: node for node in graph.node for out in node.output if out}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        values = [*graph.input, *graph.output, *graph.value_info]
        self._types = {value.name: value.type.tensor_type for value in values}
        self.nodes = self.ancestors("probabilities")
        self._consumers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self._consumers[name].append(node)
        self._moving = self._depend_on_image()

    def ancestors(self, tensor: str) -> list["onnx.NodeProto"]:
        """The nodes that `tensor` is made by, in the order in which they run."""
        wanted, waiting = set(), [tensor]
        while waiting:
            node = self._producers.get(waiting.pop())
            if node is not None and id(node) not in wanted:
                wanted.add(id(node))
                waiting.extend(node.input)
        return [node for node in self.model.graph.node if id(node) in wanted]

    def producer(self, tensor: str) -> "onnx.NodeProto | None":
        """The node that makes `tensor`; quantisation on the way is passed over."""
        node = self._producers.get(tensor)
        while node is not None and node.op_type in ("DequantizeLinear", "QuantizeLinear"):
            node = self._producers.get(node.input[0])
        return node

    def consumers(self, tensor: str) -> list["onnx.NodeProto"]:
        """The nodes that read `tensor`; quantisation on the way is passed over."""
        found = []
        for node in self._consumers[tensor]:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                found.extend(self.consumers(node.output[0]))
            else:
                found.append(node)
        return found

    def depends_on_image(self, tensor: str) -> bool:
        """Whether `tensor` differs from photo to photo."""
        return tensor in self._moving

    def value_of(self, tensor: str) -> tuple[str, str]:
        """The name to call `tensor` by, and the tensor that holds what its readers see of it."""
        for quantize in self._consumers[tensor]:
            if quantize.op_type == "QuantizeLinear":
                for back in self._consumers[quantize.output[0]]:
                    if back.op_type == "DequantizeLinear":
                        value: str = back.output[0]
                        renamed = tensor.endswith(_QUANTIZED_INPUT)
                        return (value if renamed else tensor), value
        return tensor, tensor

    def shape(self, tensor: str) -> list[int] | None:
        """All dimensions but the first of a float tensor; None where they aren't fixed."""
        kind = self._types.get(tensor)
        if kind is None or kind.elem_type != 1 or not kind.HasField("shape"):
            return None
        sizes = [dim.dim_value for dim in kind.shape.dim[1:]]
        return sizes if sizes and all(sizes) else None

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """The value of a tensor that is the same for every photo; None if it isn't, or is hidden.

        Weights lie in the file as they are, in int8 with a scale, or behind a transposition.
        """
        from onnx import numpy_helper

        if tensor in self._initializers:
            stored: NDArray[Any] = numpy_helper.to_array(self._initializers[tensor])
            return stored
        node = self._producers.get(tensor)
        if node is None:
            return None
        if node.op_type == "Constant":
            value: NDArray[Any] = numpy_helper.to_array(attribute(node, "value"))
            return value
        given = [array for name in node.input if (array := self.constant(name)) is not None]
        return _computed(node, given) if given and len(given) == len(node.input) else None

    def _depend_on_image(self) -> set[str]:
        moving = {value.name for value in self.model.graph.input} - self._initializers.keys()
        for node in self.nodes:
            if moving.intersection(node.input):
                moving.update(node.output)
        return moving


def attribute(node: "onnx.NodeProto", name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    from onnx import helper

    for found in node.attribute:
        if found.name == name:
            return helper.get_attribute_value(found)
    return default


def _computed(node: "onnx.NodeProto", given: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """What a node makes of constants; None for nodes that weights don't usually go through."""
    if node.op_type == "Identity":
        return given[0]
    if node.op_type == "Transpose":
        return np.transpose(given[0], attribute(node, "perm"))
    if node.op_type == "DequantizeLinear":
        return _dequantized(given, attribute(node, "axis", 1))
    return None


def _dequantized(given: Sequence[NDArray[Any]], axis: int) -> NDArray[np.float32]:
    """(values - zero point) * scale, a scale for all or one for each slice of `axis`."""
    values, scale = given[0].astype(np.float32), given[1].astype(np.float32)
    zero = given[2].astype(np.float32) if len(given) > 2 else np.zeros_like(scale)  # noqa: PLR2004
    if scale.ndim:
        along = [1] * values.ndim
        along[axis] = -1
        scale, zero = scale.reshape(along), zero.reshape(along)
    result: NDArray[np.float32] = (values - zero) * scale
    return result
