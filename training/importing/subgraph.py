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
        self.target: str | None = None
        """A tensor of the graph itself that the last node computes."""
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

    def compute(self, target: str) -> None:
        """Let the last node compute `target`, a tensor of the graph itself."""
        self.nodes[-1].output[0] = self.target = target

    @property
    def names(self) -> set[str]:
        """The names of all added tensors, without the target."""
        nodes = self.nodes if self.target is None else self.nodes[:-1]
        outputs = {name for node in nodes for name in node.output}
        return outputs | {tensor.name for tensor in self.initializers}
