"""The nodes and constants that the importer adds to a graph, under names of the bundle format."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Subgraph:
    """The nodes and constants of one added part."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        name = f"hubel.{output}"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    @property
    def names(self) -> set[str]:
        """The names of all added tensors."""
        outputs = {name for node in self.nodes for name in node.output}
        return outputs | {tensor.name for tensor in self.initializers}
